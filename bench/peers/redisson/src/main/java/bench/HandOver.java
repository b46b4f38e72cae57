// The scenario "handover": takes and gives one lock as the lines on stdin say, and says when.
package bench;

import java.io.BufferedReader;
import java.io.IOException;
import org.redisson.api.RLock;

/** Answers each line with when it had the lock, or called its release. */
final class HandOver {
  static void run(RLock lock, BufferedReader lines) throws IOException {
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      System.out.println(
          switch (line) {
            case "take" -> take(lock);
            case "give" -> give(lock);
            default -> throw new IOException("neither take nor give: " + line);
          });
    }
  }

  private static long take(RLock lock) {
    Nodes.take(lock);
    return Main.now();
  }

  private static long give(RLock lock) {
    long called = Main.now();
    lock.unlock();
    return called;
  }
}

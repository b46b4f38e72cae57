// The scenario "turns": this process takes one lock again and again, against all others of the same prefix.
package bench;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import org.redisson.api.RLock;

/** Takes turns and prints them. */
final class Turns {
  /** How long a turn lasts between acquire and release. */
  private static final long INSIDE_MS = 2;

  /** One turn, in microseconds of {@link Main#now}. */
  private record Turn(long begun, long acquired, long released) {
    String json() {
      return "[" + begun + "," + acquired + "," + released + "]";
    }
  }

  /** Goes on until the window is over. */
  static void run(RLock lock, Options options) throws InterruptedException {
    long start = Main.now() + options.settleMs() * 1000;
    long end = start + (long) (options.seconds() * 1e6);
    List<Turn> turns = new ArrayList<>();
    while (Main.now() < end) turns.add(take(lock));
    String list = turns.stream().map(Turn::json).collect(Collectors.joining(","));
    System.out.println("{\"start_us\":" + start + ",\"turns\":[" + list + "]}");
  }

  private static Turn take(RLock lock) throws InterruptedException {
    long begun = Main.now();
    Nodes.take(lock);
    long acquired = Main.now();
    Thread.sleep(INSIDE_MS);
    long released = Main.now();
    lock.unlock();
    return new Turn(begun, acquired, released);
  }
}

// The Redisson side of the benchmarks: a lock over all nodes that several processes want.
package bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;

/** Connects, warms up, shakes hands with the runner, and does what the scenario says. */
final class Main {
  public static void main(String[] words) throws IOException, InterruptedException {
    Options options = Options.parse(words);
    Nodes nodes = new Nodes(options.urls());
    nodes.warmUp(options.prefix());
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    if (options.handshake()) {
      System.out.println("ready");
      lines.readLine();
    }
    switch (options.scenario()) {
      case "turns" -> Turns.run(nodes.lock(options.prefix() + ":turns"), options);
      case "handover" -> HandOver.run(nodes.lock(options.prefix() + ":handover"), lines);
      default -> throw Options.wrong("scenarios: turns, handover");
    }
    // Redisson's own threads would keep the process alive.
    System.exit(0);
  }

  /** Microseconds of CLOCK_MONOTONIC, which is what HotSpot's nanoTime reads on Linux; all processes share it. */
  static long now() {
    return System.nanoTime() / 1000;
  }
}

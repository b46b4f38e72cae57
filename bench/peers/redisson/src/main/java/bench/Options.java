// The command line that all benchmark programs share.
package bench;

import java.util.List;

/** What the runner asked for. */
record Options(
    List<String> urls, String scenario, String prefix, double seconds, long settleMs, boolean handshake) {

  static Options parse(String[] words) {
    String urls = null;
    String scenario = "turns";
    String prefix = "bench";
    double seconds = 2;
    long settleMs = 200;
    boolean handshake = false;
    for (int i = 0; i < words.length; i++) {
      switch (words[i]) {
        case "--handshake" -> handshake = true;
        case "--urls" -> urls = value(words, ++i);
        case "--scenario" -> scenario = value(words, ++i);
        case "--resource-prefix" -> prefix = value(words, ++i);
        case "--seconds" -> seconds = Double.parseDouble(value(words, ++i));
        case "--settle-ms" -> settleMs = Long.parseLong(value(words, ++i));
        default -> throw wrong("unknown option " + words[i]);
      }
    }
    if (urls == null) throw wrong("--urls is missing");
    return new Options(List.of(urls.split(",")), scenario, prefix, seconds, settleMs, handshake);
  }

  private static String value(String[] words, int i) {
    if (i == words.length) throw wrong(words[i - 1] + " lacks its value");
    return words[i];
  }

  /** Ends the process; returned so that a caller can throw it, which tells the compiler so. */
  static IllegalArgumentException wrong(String complaint) {
    System.err.println(complaint);
    System.exit(2);
    return new IllegalArgumentException(complaint);
  }
}

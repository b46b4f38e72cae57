// Five masters that know nothing of each other, and locks over all of them.
package bench;

import java.util.List;
import java.util.concurrent.TimeUnit;
import org.redisson.Redisson;
import org.redisson.RedissonRedLock;
import org.redisson.api.RLock;
import org.redisson.api.RedissonClient;
import org.redisson.config.Config;

/** A client for each master, with the defaults for one server. */
final class Nodes {
  private static final long TTL_MS = 10_000;

  /** So many pairs that the compiler of the JVM has seen the code, as it has in a process that is up for long. */
  private static final int WARM_PAIRS = 100;

  private final List<RedissonClient> clients;

  Nodes(List<String> urls) {
    clients = urls.stream().map(Nodes::connect).toList();
  }

  private static RedissonClient connect(String url) {
    Config config = new Config();
    config.useSingleServer().setAddress(url);
    return Redisson.create(config);
  }

  RLock lock(String resource) {
    return new RedissonRedLock(
        clients.stream().map(client -> client.getLock(resource)).toArray(RLock[]::new));
  }

  /** Waits without end. */
  static void take(RLock lock) {
    lock.lock(TTL_MS, TimeUnit.MILLISECONDS);
  }

  /** Pairs on a resource that only this process knows. */
  void warmUp(String prefix) {
    RLock own = lock(prefix + ":warm:" + ProcessHandle.current().pid());
    for (int i = 0; i < WARM_PAIRS; i++) {
      take(own);
      own.unlock();
    }
  }
}

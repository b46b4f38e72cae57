// What the tests' worker threads do.

import { parentPort, workerData } from "node:worker_threads";
import { Factory } from "libredlock";

const factory = new Factory(process.env.REDLOCK_TEST_URLS.split(","));
const { task, resource, counter, rounds } = workerData;

const tasks = {
  /** Counts, without atomicity, under the lock. */
  async count() {
    for (let i = 0; i < rounds; i++) {
      await factory.using(resource, async () => {
        const read = counter[0];
        await new Promise(setImmediate);
        counter[0] = read + 1;
      });
    }
    await factory.close();
  },

  /** Ends while it holds a lock. */
  async hold() {
    const lock = await factory.acquire(resource, { ttl: 60_000 });
    lock.signal.addEventListener("abort", () => {});
  },

  /** Waits for a lock for ever. */
  async wait() {
    await factory.isLocked(resource);
    const waiting = factory.acquire(resource, { ttl: 60_000 });
    parentPort.postMessage("waiting");
    await waiting;
  },
};

await tasks[task]();

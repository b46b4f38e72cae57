// How a TypeScript program uses the package as an ES module: compiled by tsc, then run.

import assert from "node:assert/strict";
import redlock, {
  ContendedError,
  Factory,
  type FactoryOptions,
  type Lock,
  type NodeOutcome,
  type RedlockError,
  type ReentrantLock,
  Status,
  versions,
} from "libredlock";

const urls: string[] = process.env.REDLOCK_TEST_URLS?.split(",") ?? [];
const options: FactoryOptions = { nodeTimeoutMs: "auto", retryMaxMs: 50, fencing: true };
const resource = `node:types:module:${process.pid}`;
let seen: Lock;

{
  await using factory = new Factory(urls, options);
  {
    await using lock = await factory.acquire(resource, { ttl: 5000, wait: 1000, keepAlive: true });
    seen = lock;
    const fence: number = lock.fence;
    const signal: AbortSignal = lock.signal;
    assert.ok(fence > 0 && !signal.aborted);
    const nothing: Lock | null = await factory.tryAcquire(resource, { signal: AbortSignal.timeout(5000) });
    assert.equal(nothing, null);
    try {
      await factory.acquire(resource, { wait: 0 });
      assert.fail();
    } catch (error) {
      assert.ok(error instanceof ContendedError);
      const status: number = error.status;
      const nodes: readonly NodeOutcome[] = error.nodes;
      assert.equal(status, Status.CONTENDED);
      assert.equal(nodes.length, urls.length);
      const base: RedlockError = error;
      assert.ok(base instanceof Error);
    }
  }
  assert.ok(seen.released, "`await using` has released it");
  const number: number = await factory.using([resource, `${resource}:2`], async (lock) => lock.resources.length);
  assert.equal(number, 2);
  const holder: ReentrantLock = factory.reentrant(resource);
  {
    await using outer = await holder.acquire();
    await using inner = await holder.acquire();
    assert.equal(outer, inner);
    assert.equal(holder.count, 2);
  }
  assert.equal(holder.count, 0);
  const lines: string[] = await factory.check();
  assert.equal(lines.length, urls.length);
}
assert.equal(redlock.versions, versions);

// What is wrong is wrong for the compiler too.
async function refused(factory: Factory) {
  // @ts-expect-error a resource has a name
  await factory.acquire();
  // @ts-expect-error durations are numbers
  await factory.acquire(resource, { ttl: "5s" });
  // @ts-expect-error there is no such option
  await factory.acquire(resource, { timeout: 5 });
  // @ts-expect-error trying does not wait
  await factory.tryAcquire(resource, { wait: 5 });
  // @ts-expect-error it may be null
  (await factory.tryAcquire(resource)).release();
  // @ts-expect-error there is no such option
  new Factory(urls, { nodeTimeout: 5 });
  // @ts-expect-error a lock comes from a factory
  new redlock.Lock();
  // @ts-expect-error it is read-only
  seen.validity = 5;
}
assert.equal(refused.length, 1);
console.log("module ok");

// Work under a lock, and the holder that can acquire again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ExpiredError, Lock, ReleasedError } from "libredlock";
import { failureOf, newFactory, newResource, until } from "./support.mjs";

test("using gives the work's result and releases", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const result = await factory.using(resource, async (lock) => {
    assert.ok(lock instanceof Lock);
    assert.equal(await factory.isLocked(resource), true);
    return 17;
  });
  assert.equal(result, 17);
  assert.equal(await factory.isLocked(resource), false);
  assert.equal(await factory.using(resource, { ttl: 5000, wait: 0 }, () => "at once"), "at once");
});

test("using releases after a failure, which is the one to see", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const broken = new Error("broken");
  const error = await failureOf(
    factory.using(resource, () => {
      throw broken;
    }),
  );
  assert.equal(error, broken);
  assert.equal(await factory.isLocked(resource), false);

  const late = await failureOf(
    factory.using(resource, { ttl: 50, keepAlive: false }, async (lock) => {
      await until(() => lock.validity === 0, "the validity ends");
      const next = await factory.acquire(resource);
      await next.release();
      throw broken;
    }),
  );
  assert.equal(late, broken);
});

test("using does not hide that the lock was lost", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const error = await failureOf(
    factory.using(resource, { ttl: 50, keepAlive: false }, async () => {
      const next = await factory.acquire(resource);
      await next.release();
    }),
  );
  assert.ok(error instanceof ExpiredError);
});

test("the work may release early", async (t) => {
  const factory = newFactory(t);
  await factory.using(newResource(), (lock) => lock.release());
});

test("a re-entrant holder counts", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const holder = factory.reentrant(resource, { ttl: 60_000 });
  assert.deepEqual([holder.count, holder.validity, holder.lock], [0, 0, undefined]);
  assert.equal(await holder.acquire(), holder);
  const { token } = holder.lock;
  await holder.acquire();
  assert.equal(holder.count, 2);
  assert.equal(holder.lock.token, token, "the inner acquire takes nothing");
  assert.equal(await factory.tryAcquire(resource), null, "everybody else is kept out");
  await holder.release();
  assert.equal(await factory.isLocked(resource), true);
  assert.ok(holder.validity > 0);
  await holder.release();
  assert.equal(await factory.isLocked(resource), false);
  assert.ok((await failureOf(holder.release())) instanceof ReleasedError);
  await holder[Symbol.asyncDispose]();

  await holder.acquire();
  assert.notEqual(holder.lock.token, token);
  await holder[Symbol.asyncDispose]();
  assert.equal(holder.count, 0);
});

test("acquires of one holder at the same time share the lock", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const holder = factory.reentrant(resource);
  await Promise.all(Array.from({ length: 20 }, () => holder.acquire()));
  assert.equal(holder.count, 20);
  await Promise.all(Array.from({ length: 20 }, () => holder.release()));
  assert.equal(await factory.isLocked(resource), false);
});

test("an inner acquire of a lost lock fails, and the holder recovers", async (t) => {
  const factory = newFactory(t);
  const holder = factory.reentrant(newResource(), { ttl: 50 });
  await holder.acquire();
  await until(() => holder.validity === 0, "the validity ends");
  assert.ok((await failureOf(holder.acquire())) instanceof ExpiredError);
  assert.equal(holder.count, 1, "the outer level is still to be released");
  await holder.release().catch(() => {});
  await holder.acquire();
  assert.ok(holder.validity > 0);
  await holder.release().catch(() => {});
});

test("two holders exclude each other, and a signal ends the waiting", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const [one, two] = [factory.reentrant(resource), factory.reentrant(resource)];
  await one.acquire();
  const patient = two.acquire();
  const error = await failureOf(two.acquire({ signal: AbortSignal.timeout(20) }));
  assert.equal(error.name, "TimeoutError");
  assert.equal(two.count, 0);
  await one.release();
  await patient;
  assert.equal(two.count, 1);
  await two.release();
});

test("a failed outer acquire leaves the holder free", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const lock = await factory.acquire(resource);
  const holder = factory.reentrant(resource, { wait: 0 });
  await failureOf(holder.acquire());
  assert.equal(holder.count, 0);
  await lock.release();
  await holder.acquire();
  await holder.release();
});

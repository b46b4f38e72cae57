// Detached locks: held until their TTL ends, and nobody's.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ReleasedError } from "libredlock";
import { failureOf, newFactory, newResource, serversWith, until, urls } from "./support.mjs";

test("a detached lock stays held", async (t) => {
  const [factory, other] = [newFactory(t), newFactory(t)];
  const resource = newResource();
  const lock = await factory.acquire(resource, { ttl: 60_000 });
  const { signal } = lock;
  lock.detach();
  assert.equal(lock.released, true);
  assert.equal(lock.validity, 0);
  for (const refused of [lock.release(), lock.extend(1000), () => lock.keepAlive()])
    assert.ok((await failureOf(refused)) instanceof ReleasedError);
  lock.detach();
  // A release in the background would have been waited for.
  await factory.close();
  assert.equal(await other.tryAcquire(resource), null);
  assert.ok((await serversWith(resource)) > urls.length / 2);
  assert.equal(signal.aborted, false);
});

test("it is not kept alive any more, and no loss is reported", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const lock = await factory.acquire(resource, { ttl: 1000, keepAlive: true });
  const { signal } = lock;
  lock.detach();
  await until(async () => (await serversWith(resource)) === 0, "its TTL ends");
  assert.equal(signal.aborted, false);
});

test("work may detach the lock that it runs under", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  assert.equal(await factory.using(resource, { ttl: 60_000 }, (lock) => lock.detach() ?? "done"), "done");
  assert.equal(await factory.tryAcquire(resource), null);
});

// Fencing tokens, several resources as one lock, and the operator's word.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ContendedError, Factory, NoQuorumError } from "libredlock";
import { failureOf, newFactory, newResource, serversWith, until, urls } from "./support.mjs";

test("fences rise with every acquire of a resource", async (t) => {
  const factories = [newFactory(t), newFactory(t), newFactory(t)];
  const resource = newResource();
  let last = 0;
  for (let i = 0; i < 30; i++) {
    const lock = await factories[i % 3].acquire(resource);
    assert.ok(Number.isSafeInteger(lock.fence));
    assert.ok(lock.fence > last, `${lock.fence} after ${last}`);
    last = lock.fence;
    await lock.extend(20_000);
    assert.equal(lock.fence, last);
    await lock.release();
    assert.equal(lock.fence, last, "it can still be read after the release");
  }
});

test("without fencing there is no fence", async (t) => {
  const factory = newFactory(t, { fencing: false });
  const lock = await factory.acquire(newResource());
  assert.equal(lock.fence, 0);
  await lock.release();
});

test("with the option fair, waiters are served in the order of their arrival", async (t) => {
  const factory = newFactory(t, { fair: true });
  const resource = newResource();
  const first = await factory.acquire(resource, { ttl: 60_000 });
  const served = [];
  const waiting = [];
  for (let i = 0; i < 10; i++) {
    const turn = factory.acquire(resource, { ttl: 60_000 }).then((lock) => {
      served.push(i);
      return lock.release();
    });
    waiting.push(turn);
    // A round trip, so that this one has arrived before the next.
    await factory.isLocked(resource);
  }
  await first.release();
  await Promise.all(waiting);
  assert.deepEqual(served, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test("several resources are one lock", async (t) => {
  const factory = newFactory(t);
  const resources = [newResource(), newResource(), newResource()];
  const lock = await factory.acquire(resources, { ttl: 60_000 });
  assert.deepEqual(lock.resources, resources);
  assert.equal(lock.resource, resources[0]);
  assert.equal(lock.fences.length, 3);
  assert.equal(lock.fences[0], lock.fence);
  assert.ok(lock.fences.every((fence) => fence > 0));
  assert.ok(Object.isFrozen(lock.resources) && Object.isFrozen(lock.fences));
  for (const resource of resources) assert.equal(await factory.tryAcquire(resource), null);
  await lock.extend(90_000);
  await lock.release();
  for (const resource of resources) assert.equal(await factory.isLocked(resource), false);
});

test("all or nothing", async (t) => {
  const factory = newFactory(t);
  const resources = [newResource(), newResource()];
  const one = await factory.acquire(resources[1]);
  assert.ok((await failureOf(factory.acquire(resources, { wait: 20 }))) instanceof ContendedError);
  assert.equal(await factory.tryAcquire(resources), null);
  await until(async () => (await serversWith(resources[0])) === 0, "the other resource is free");
  const waiting = factory.acquire(resources);
  await one.release();
  await (await waiting).release();
});

test("sets that overlap do not wait for each other for ever", async (t) => {
  const factory = newFactory(t);
  const names = [newResource(), newResource(), newResource()];
  const order = (i) => [names[i % 3], names[(i + 1) % 3]].sort(() => (i % 2 ? -1 : 1));
  let inside = 0;
  const turns = Array.from({ length: 30 }, (_, i) =>
    factory.using(order(i), { ttl: 30_000 }, async () => {
      inside += 1;
      assert.equal(inside, 1, "any two of these sets overlap");
      await new Promise(setImmediate);
      inside -= 1;
    }),
  );
  await Promise.all(turns);
});

test("a resource named twice, and too many, are refused", async (t) => {
  const factory = newFactory(t);
  const name = newResource();
  for (const bad of [[name, name], Array.from({ length: 129 }, newResource)]) {
    const error = await failureOf(factory.acquire(bad));
    assert.ok(error instanceof TypeError, error);
    assert.equal(error.code, "REDLOCK_ERR_INVALID_ARGUMENT");
  }
  const lock = await factory.acquire(Array.from({ length: 128 }, newResource));
  await lock.release();
});

test("a holder of several resources", async (t) => {
  const factory = newFactory(t);
  const resources = [newResource(), newResource()];
  const holder = factory.reentrant(resources, { keepAlive: true });
  await holder.acquire();
  await holder.acquire();
  assert.deepEqual(holder.lock.resources, resources);
  await holder.release();
  await holder.release();
  assert.equal(await factory.isLocked(resources[1]), false);
});

test("under a strict guard fresh nodes vote when the operator says so", async (t) => {
  const factory = newFactory(t, { restartGuard: "strict", maxTtlMs: 86_000_000 });
  const error = await failureOf(factory.tryAcquire(newResource()));
  assert.ok(error instanceof NoQuorumError);
  assert.ok(error.nodes.some((node) => node.code === "REDLOCK_ERR_NOT_ADMITTED"));
  await factory.trustNodes();
  const lock = await factory.acquire(newResource());
  await lock.release();

  const nowhere = new Factory("redis://127.0.0.1:1", { restartGuard: "strict" });
  t.after(() => nowhere.close());
  assert.ok((await failureOf(nowhere.trustNodes())) instanceof NoQuorumError);
  assert.equal((await nowhere.check()).length, 1);
  assert.equal((await factory.check()).length, urls.length);
});

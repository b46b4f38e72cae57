// Locks that are kept alive: extended in the background, and their loss noticed in time.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ExpiredError, Factory, NoQuorumError, ReleasedError } from "libredlock";
import {
  failureOf,
  newFactory,
  newResource,
  redis,
  resume,
  serversWith,
  start,
  suspend,
  until,
  urls,
} from "./support.mjs";

test("a kept lock outlives its TTL", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const lock = await factory.acquire(resource, { ttl: 600, keepAlive: true });
  const { signal } = lock;
  const unkept = await factory.acquire(newResource(), { ttl: 1800 });
  await until(() => unkept.validity === 0, "three TTLs are over");
  assert.equal(signal.aborted, false);
  assert.ok(lock.validity > 0);
  assert.equal(await factory.tryAcquire(resource), null);
  await lock.release();
  assert.equal(signal.aborted, false);
  await until(async () => (await serversWith(resource)) === 0, "it is released");
});

test("a kept lock is extended while the event loop is blocked", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const lock = await factory.acquire(resource, { ttl: 400 });
  lock.keepAlive();
  const cell = new Int32Array(new SharedArrayBuffer(4));
  Atomics.wait(cell, 0, 0, 1500);
  assert.ok(lock.validity > 0);
  await lock.release();
});

test("the signal aborts when a kept lock's keys are gone", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const lock = await factory.acquire(resource, { ttl: 3000, keepAlive: true });
  const { signal } = lock;
  await until(async () => (await serversWith(resource)) === urls.length, "all servers have the key");
  await Promise.all(urls.map((url) => redis(url, "DEL", resource)));
  await until(() => signal.aborted, "the signal aborts");
  assert.ok(signal.reason instanceof ExpiredError, signal.reason);
  assert.match(signal.reason.message, new RegExp(resource));
  assert.ok((await failureOf(lock.release())) instanceof ExpiredError);
});

test("a loss is known to a signal that is asked for later", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const lock = await factory.acquire(resource, { ttl: 500, keepAlive: true });
  await until(async () => (await serversWith(resource)) === urls.length, "all servers have the key");
  await Promise.all(urls.map((url) => redis(url, "DEL", resource)));
  await until(() => lock.validity === 0, "the validity ends");
  assert.equal(lock.signal.aborted, true);
  assert.ok(lock.signal.reason instanceof ExpiredError);
  await failureOf(lock.release());
});

test("the signal aborts when too few servers can be told, before the validity ends", async (t) => {
  const factory = newFactory(t);
  const lock = await factory.acquire(newResource(), { ttl: 3000, keepAlive: true });
  let left;
  lock.signal.addEventListener("abort", () => {
    left = lock.validity;
  });
  for (const i of [0, 1, 2]) suspend(t, i);
  await until(() => lock.signal.aborted, "the signal aborts");
  assert.ok(lock.signal.reason instanceof NoQuorumError, lock.signal.reason);
  assert.equal(lock.signal.reason.nodes.length, urls.length);
  assert.ok(left > 0, "there is time left to stop in");
  for (const i of [0, 1, 2]) await resume(i);
  await lock.release().catch(() => {});
});

test("an extension of a kept lock changes the TTL that it is kept with", async (t) => {
  const factory = newFactory(t);
  const lock = await factory.acquire(newResource(), { ttl: 300, keepAlive: true });
  await lock.extend(60_000);
  assert.ok(lock.validity > 300);
  const other = await factory.acquire(newResource(), { ttl: 900 });
  await until(() => other.validity === 0, "the first TTL is over, three times");
  assert.ok(lock.validity > 300);
  await lock.release();
});

test("keeping what is not held is an error", async (t) => {
  const factory = newFactory(t);
  const released = await factory.acquire(newResource());
  await released.release();
  assert.ok((await failureOf(() => released.keepAlive())) instanceof ReleasedError);
  const expired = await factory.acquire(newResource(), { ttl: 30 });
  await until(async () => !(await factory.isLocked(expired.resource)), "the TTL ends");
  assert.ok((await failureOf(() => expired.keepAlive())) instanceof ExpiredError);
  await expired.release().catch(() => {});
});

test("work is told that its lock was lost", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  let reason;
  const error = await failureOf(
    factory.using(resource, { ttl: 1000 }, async (lock) => {
      await until(async () => (await serversWith(resource)) === urls.length, "all servers have the key");
      await Promise.all(urls.map((url) => redis(url, "DEL", resource)));
      await until(() => lock.signal.aborted, "the signal aborts");
      reason = lock.signal.reason;
    }),
  );
  assert.ok(reason instanceof ExpiredError);
  assert.ok(error instanceof ExpiredError);
});

test("closing the factory ends the keeping, and the signal tells", async () => {
  const factory = new Factory(urls);
  const resource = newResource();
  const lock = await factory.acquire(resource, { ttl: 500, keepAlive: true });
  const { signal } = lock;
  await factory.close();
  await until(() => signal.aborted, "the signal aborts");
  await lock.release().catch(() => {});
  await until(async () => (await serversWith(resource)) === 0, "nothing stays locked");
});

test("a kept lock does not keep the process alive, and ends with it", async (t) => {
  const resource = newResource();
  const program = start(t, "kept.mjs", [resource]);
  await program.endsWell();
  await until(async () => (await serversWith(resource)) === 0, "its TTL ends");
});

test("a kept lock that is forgotten is released, unless somebody listens", async (t) => {
  const program = start(t, "kept-forgotten.mjs", [newResource()]);
  await program.endsWell();
  assert.match(program.output, /RedlockWarning/);
  assert.match(program.output, /the forgotten one is free/);
  assert.match(program.output, /a kept lock has kept its factory/);
  assert.match(program.output, /the other one is held/);
  assert.match(program.output, /and its loss is heard of/);
});

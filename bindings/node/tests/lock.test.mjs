// Taking, extending and giving back one lock.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ContendedError, ExpiredError, Lock, NoQuorumError, ReleasedError, Status } from "libredlock";
import { failureOf, newFactory, newResource, redis, resume, serversWith, suspend, until, urls } from "./support.mjs";

test("a lock is held until it is released", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const lock = await factory.acquire(resource, { ttl: 60_000 });
  assert.ok(lock instanceof Lock);
  assert.equal(lock.factory, factory);
  assert.equal(lock.resource, resource);
  assert.deepEqual(lock.resources, [resource]);
  assert.match(lock.token, /^[0-9a-f]{40}$/);
  assert.equal(lock.released, false);
  assert.ok(lock.validity > 0 && lock.validity < 60_000);
  assert.equal(await factory.isLocked(resource), true);
  await until(async () => (await serversWith(resource)) === urls.length, "all servers have the key");
  assert.equal(await redis(urls[0], "GET", resource), lock.token);

  await lock.release();
  assert.equal(lock.released, true);
  assert.equal(lock.validity, 0);
  assert.equal(await factory.isLocked(resource), false);
  await until(async () => (await serversWith(resource)) === 0, "no server has the key");
});

test("an extension gives the lock, as node-redlock's does", async (t) => {
  const factory = newFactory(t);
  let lock = await factory.acquire(newResource(), { ttl: 5000 });
  const first = lock;
  lock = await lock.extend(60_000);
  assert.equal(lock, first);
  assert.ok(lock.validity > 5000);
  await lock.release();
});

test("what another holds is not given", async (t) => {
  const [mine, other] = [newFactory(t), newFactory(t)];
  const resource = newResource();
  const lock = await mine.acquire(resource);
  assert.equal(await other.tryAcquire(resource), null);
  assert.equal(await mine.tryAcquire(resource), null);
  const error = await failureOf(other.acquire(resource, { wait: 50 }));
  assert.ok(error instanceof ContendedError);
  assert.equal(error.name, "ContendedError");
  assert.equal(error.code, "REDLOCK_ERR_CONTENDED");
  assert.equal(error.status, Status.CONTENDED);
  assert.match(error.message, new RegExp(resource));
  assert.equal(error.nodes.length, urls.length);
  assert.ok(error.nodes.filter((node) => node.code === "REDLOCK_ERR_CONTENDED").length > urls.length / 2);
  assert.ok(error.nodes.every((node, i) => urls[i].startsWith(node.address.replace(/\/0$/, ""))));
  await lock.release();
});

test("a waiting acquire gets the lock when it is released", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const first = await factory.acquire(resource);
  let had = false;
  const waiting = factory.acquire(resource).then((lock) => {
    had = true;
    return lock;
  });
  assert.equal(await factory.tryAcquire(resource), null);
  assert.equal(had, false);
  await first.release();
  const second = await waiting;
  assert.notEqual(second.token, first.token);
  await second.release();
});

test("an extended lock has its TTL anew", async (t) => {
  const factory = newFactory(t);
  const lock = await factory.acquire(newResource(), { ttl: 20_000 });
  await lock.extend(100_000);
  assert.ok(lock.validity > 20_000);
  await lock.release();
  assert.ok((await failureOf(lock.extend(1000))) instanceof ReleasedError);
});

test("releasing twice is an error, disposing is not", async (t) => {
  const factory = newFactory(t);
  const lock = await factory.acquire(newResource());
  await lock.release();
  const error = await failureOf(lock.release());
  assert.ok(error instanceof ReleasedError);
  assert.equal(error.code, "REDLOCK_ERR_RELEASED");
  await lock[Symbol.asyncDispose]();
});

test("two releases at once: one of them does it", async (t) => {
  const factory = newFactory(t);
  const lock = await factory.acquire(newResource());
  const outcomes = await Promise.allSettled([lock.release(), lock.release()]);
  assert.deepEqual(
    outcomes.map((outcome) => outcome.status),
    ["fulfilled", "rejected"],
  );
});

test("disposing releases", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const lock = await factory.acquire(resource);
  await lock[Symbol.asyncDispose]();
  assert.equal(await factory.isLocked(resource), false);
});

test("an expired lock says so, and frees the resource", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const lock = await factory.acquire(resource, { ttl: 100 });
  await until(async () => !(await factory.isLocked(resource)), "the TTL ends");
  assert.equal(lock.validity, 0);
  assert.ok((await failureOf(lock.extend(1000))) instanceof ExpiredError);
  const next = await factory.acquire(resource);
  assert.ok((await failureOf(lock.release())) instanceof ExpiredError);
  assert.equal(await factory.isLocked(resource), true, "the new owner's lock is left alone");
  await next.release();
});

test("the signal aborts when the validity ends", async (t) => {
  const factory = newFactory(t);
  const lock = await factory.acquire(newResource(), { ttl: 200 });
  const { signal } = lock;
  assert.equal(signal.aborted, false);
  assert.equal(lock.signal, signal, "it is always the same one");
  await until(() => signal.aborted, "the signal aborts");
  assert.ok(signal.reason instanceof ExpiredError);
  assert.equal(lock.validity, 0);
  // It may have been a moment too early for the nodes to notice.
  await lock.release().catch(() => {});
});

test("the signal of a lock that had expired is aborted from the beginning", async (t) => {
  const factory = newFactory(t);
  const lock = await factory.acquire(newResource(), { ttl: 50 });
  await until(() => lock.validity === 0, "the validity ends");
  assert.equal(lock.signal.aborted, true);
  await lock.release().catch(() => {});
});

test("the signal follows extensions, and a release is no loss", async (t) => {
  const factory = newFactory(t);
  const lock = await factory.acquire(newResource(), { ttl: 150 });
  const { signal } = lock;
  await lock.extend(60_000);
  // A shorter one takes nothing back.
  await lock.extend(150);
  const brief = await factory.acquire(newResource(), { ttl: 150 });
  await until(() => brief.signal.aborted, "a lock of the shorter TTL ends");
  assert.equal(signal.aborted, false);
  assert.ok(lock.validity > 30_000);
  await lock.release();
  await brief.release().catch(() => {});

  const other = await factory.acquire(newResource(), { ttl: 10_000 });
  const quiet = other.signal;
  await other.release();
  assert.equal(quiet.aborted, false);
});

test("too few servers are another error than another owner", async (t) => {
  const factory = newFactory(t);
  await factory.acquire(newResource()).then((lock) => lock.release());
  for (const i of [0, 1, 2]) suspend(t, i);
  const error = await failureOf(factory.tryAcquire(newResource()));
  assert.ok(error instanceof NoQuorumError);
  const silent = error.nodes.filter((node) => node.code === "REDLOCK_ERR_TIMEOUT");
  assert.ok(silent.length > 0, JSON.stringify(error.nodes));

  const waiting = factory.acquire(newResource());
  for (const i of [0, 1, 2]) await resume(i);
  await (await waiting).release();
});

test("a hung minority is not waited for", async (t) => {
  const factory = newFactory(t);
  await factory.acquire(newResource()).then((lock) => lock.release());
  for (const i of [3, 4]) suspend(t, i);
  const resource = newResource();
  const lock = await factory.acquire(resource, { wait: 0 });
  await lock.release();
  assert.equal(await factory.isLocked(resource), false);
});

test("check has a line for each node", async (t) => {
  const factory = newFactory(t);
  await factory.isLocked(newResource());
  const lines = await factory.check();
  assert.equal(lines.length, urls.length);
  for (const [i, line] of lines.entries()) assert.ok(line.startsWith(urls[i].replace(/\/0$/, "")), line);
});

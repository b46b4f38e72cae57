// AbortSignal: what it cancels ends with its reason and leaves nothing locked.

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { CancelledError, ClosedError, Factory } from "libredlock";
import { failureOf, newFactory, newResource, serversWith, until, urls } from "./support.mjs";

test("an aborted acquire rejects with the signal's reason", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const lock = await factory.acquire(resource);
  const controller = new AbortController();
  const waiting = failureOf(factory.acquire(resource, { signal: controller.signal }));
  const reason = new Error("no time");
  controller.abort(reason);
  assert.equal(await waiting, reason);
  assert.deepEqual(getEventListeners(controller.signal, "abort"), []);
  await lock.release();
  await until(async () => (await serversWith(resource)) === 0, "nothing stays locked");
});

test("a signal's time-out ends the waiting", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const lock = await factory.acquire(resource);
  const error = await failureOf(factory.acquire(resource, { signal: AbortSignal.timeout(50) }));
  assert.equal(error.name, "TimeoutError");
  await lock.release();
});

test("a signal that is aborted already prevents the acquire", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const error = await failureOf(factory.acquire(resource, { signal: AbortSignal.abort() }));
  assert.equal(error.name, "AbortError");
  assert.equal(await factory.isLocked(resource), false);
  assert.equal((await failureOf(factory.isLocked(resource, { signal: AbortSignal.abort() }))).name, "AbortError");
});

// As those of other realms and of packages from before there was one in Node.
test("a signal of another make will do", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const lock = await factory.acquire(resource);
  const foreign = Object.assign(new EventTarget(), { aborted: false });
  const waiting = failureOf(factory.acquire(resource, { signal: foreign }));
  foreign.aborted = true;
  foreign.dispatchEvent(new Event("abort"));
  assert.ok((await waiting) instanceof CancelledError);
  await lock.release();
});

test("a signal that aborts later does nothing to the lock", async (t) => {
  const factory = newFactory(t);
  const controller = new AbortController();
  const lock = await factory.acquire(newResource(), { signal: controller.signal });
  controller.abort();
  assert.ok(lock.validity > 0);
  assert.equal(lock.signal.aborted, false);
  await lock.release();
});

// Aborts later and later in an acquire's life: from before it has begun until after it is over.
test("whoever aborts never leaves a lock behind", async (t) => {
  const factory = newFactory(t);
  await (await factory.acquire(newResource())).release();
  const resources = Array.from({ length: 400 }, newResource);
  let won = 0;
  for (const [i, resource] of resources.entries()) {
    const controller = new AbortController();
    const acquiring = factory.acquire(resource, { ttl: 60_000, signal: controller.signal }).catch(() => null);
    for (let turns = i % 100; turns > 0; turns--) await new Promise(setImmediate);
    controller.abort();
    const lock = await acquiring;
    won += Number(lock !== null);
    await lock?.release();
  }
  t.diagnostic(`${won} of ${resources.length} were faster than their abort`);
  for (const resource of resources) {
    await until(async () => (await serversWith(resource)) === 0, "nothing stays locked");
  }
});

test("closing a factory ends what waits on it, and leaves held locks alone", async (t) => {
  const other = newFactory(t);
  const factory = new Factory(urls);
  const [held, wanted] = [newResource(), newResource()];
  const mine = await factory.acquire(held, { ttl: 60_000 });
  const theirs = await other.acquire(wanted);
  const waiting = failureOf(factory.acquire(wanted));
  const closed = factory.close();
  assert.equal(factory.close(), closed, "closing twice is closing once");
  assert.ok((await waiting) instanceof ClosedError);
  await closed;
  await factory[Symbol.asyncDispose]();
  for (const late of [() => factory.acquire(held), () => factory.isLocked(held), () => factory.check()]) {
    assert.ok((await failureOf(late)) instanceof ClosedError);
  }
  assert.ok(mine.validity > 0);
  await mine.release();
  await theirs.release();
  assert.equal(await other.isLocked(held), false);
});

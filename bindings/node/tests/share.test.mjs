// Factories with the same URLs and options share connections, and nothing is left open when the last one is closed.

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { test } from "node:test";
import { ClosedError, Factory } from "libredlock";
import { failureOf, newFactory, newResource, redis, start, until, urls } from "./support.mjs";

/** How many connections of clients a server has, ours included. */
async function connections() {
  const list = await redis(urls[0], "CLIENT", "LIST");
  return list.trim().split("\n").length;
}

const descriptors = async () => (await readdir("/proc/self/fd")).length;

test("a factory for each request needs no more connections than one", async (t) => {
  const first = newFactory(t);
  await (await first.acquire(newResource())).release();
  const before = await connections();
  const held = [];
  for (let i = 0; i < 100; i++) {
    const options = i % 2 === 0 ? undefined : { fencing: undefined };
    const lock = await newFactory(t, options).acquire(newResource());
    held.push(lock);
  }
  assert.equal(await connections(), before);
  await Promise.all(held.map((lock) => lock.release()));
});

test("options tell sets apart, and their order does not", async (t) => {
  await (await newFactory(t).acquire(newResource())).release();
  const before = await connections();
  const make = async (options) => {
    const factory = newFactory(t, options);
    await (await factory.acquire(newResource())).release();
  };
  await make({ keyPrefix: "a:", maxTtlMs: 60_000 });
  await until(async () => (await connections()) > before, "another connection");
  const two = await connections();
  await make({ maxTtlMs: 60_000, keyPrefix: "a:" });
  assert.equal(await connections(), two);
});

test("a closed factory is closed, also while another one shares its nodes", async (t) => {
  const [closing, staying] = [newFactory(t), newFactory(t)];
  const resource = newResource();
  const lock = await closing.acquire(resource, { ttl: 60_000 });
  const waiting = failureOf(closing.acquire(resource));
  const patient = staying.acquire(resource);
  await closing.close();
  assert.ok((await waiting) instanceof ClosedError);
  assert.ok((await failureOf(closing.acquire(newResource()))) instanceof ClosedError);
  assert.equal(await lock.extend(60_000), lock);
  await lock.release();
  await (await patient).release();
});

test("nothing is left open after the last factory", { skip: process.platform !== "linux" }, async () => {
  const useAndClose = async () => {
    const factory = new Factory(urls);
    const lock = await factory.acquire(newResource(), { keepAlive: true });
    assert.equal(lock.signal.aborted, false);
    await factory.close();
    await lock.release();
  };
  await useAndClose();
  let before = 0;
  await until(async () => {
    // The first round's connections are closed in the background.
    const now = await descriptors();
    const settled = now === before;
    before = now;
    return settled;
  }, "the number of descriptors to rest");
  for (let i = 0; i < 20; i++) await useAndClose();
  await until(async () => (await descriptors()) <= before, "all descriptors are closed");
});

test("modules that are evaluated anew are the same package", { skip: process.platform !== "linux" }, async (t) => {
  const program = start(t, "reset.cjs", [newResource()]);
  await program.endsWell();
  assert.match(program.output, /no descriptor more/);
});

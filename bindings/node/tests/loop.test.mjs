// The event loop: never blocked, no thread of libuv's pool occupied, alive for as long as somebody waits and no longer.

import assert from "node:assert/strict";
import { test } from "node:test";
import { newFactory, newResource, start, until, urls } from "./support.mjs";

test("1,000 pending acquires leave the loop and the pool alone", async (t) => {
  // One thread in the pool: a single acquire that waited there would keep the files from ever being read.
  const program = start(t, "pending.mjs", [], { UV_THREADPOOL_SIZE: "1" });
  await program.endsWell();
  assert.match(program.output, /1000 pending, 200 files read, 200 timers fired/);
  assert.match(program.output, /1000 had their turn/);
});

test("a factory and a held lock do not keep the process alive", async (t) => {
  const program = start(t, "held.mjs", [newResource()]);
  await program.endsWell();
  assert.match(program.output, /held/);
});

test("a pending acquire keeps the process alive", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const lock = await factory.acquire(resource, { ttl: 60_000 });
  const program = start(t, "waiting.mjs", [resource]);
  await program.says("waiting");
  await until(async () => (await factory.check()).length === urls.length, "time goes by");
  assert.equal(program.code, undefined);
  await lock.release();
  await program.endsWell();
  assert.match(program.output, /got it/);
});

test("operations that nobody awaits are carried out before the process ends", async (t) => {
  const resource = newResource();
  const program = start(t, "unawaited.mjs", [resource]);
  await program.endsWell();
  const factory = newFactory(t);
  assert.equal(await factory.isLocked(resource), false);
});

test("no unhandled rejection, whatever happens in the background", async (t) => {
  const program = start(t, "background.mjs", [newResource()]);
  await program.endsWell();
  assert.match(program.output, /all quiet/);
});

test("forgotten locks and factories are collected, and not before their time", async (t) => {
  const program = start(t, "forgotten.mjs", []);
  await program.endsWell();
  assert.match(program.output, /held until the TTL/);
  assert.match(program.output, /memory is steady/);
});

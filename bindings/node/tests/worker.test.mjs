// Worker threads: each has a queue of its own, also when it is ended without a word.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { newFactory, newResource, serversWith, until } from "./support.mjs";

function startWorker(t, task, workerData) {
  const worker = new Worker(new URL("programs/worker.mjs", import.meta.url), { workerData: { task, ...workerData } });
  t.after(() => worker.terminate());
  return worker;
}

test("workers and the main thread exclude each other", async (t) => {
  const counter = new Int32Array(new SharedArrayBuffer(4));
  const resource = newResource();
  const workers = Array.from({ length: 4 }, () => startWorker(t, "count", { resource, counter, rounds: 50 }));
  const ends = workers.map((worker) => once(worker, "exit"));
  const factory = newFactory(t);
  for (let i = 0; i < 50; i++) {
    await factory.using(resource, async () => {
      const read = counter[0];
      await new Promise(setImmediate);
      counter[0] = read + 1;
    });
  }
  for (const [code] of await Promise.all(ends)) assert.equal(code, 0);
  assert.equal(counter[0], 5 * 50);
});

test("a worker that holds a lock can end by itself, which releases it", async (t) => {
  const resource = newResource();
  const worker = startWorker(t, "hold", { resource });
  const [code] = await once(worker, "exit");
  assert.equal(code, 0);
  await until(async () => (await serversWith(resource)) === 0, "the lock is released");
});

test("a terminated worker's acquires win nothing", async (t) => {
  const factory = newFactory(t);
  const resource = newResource();
  const lock = await factory.acquire(resource, { ttl: 60_000 });
  const workers = Array.from({ length: 5 }, () => startWorker(t, "wait", { resource }));
  await Promise.all(workers.map((worker) => once(worker, "message")));
  await Promise.all(workers.map((worker) => worker.terminate()));
  await lock.release();
  await until(async () => (await serversWith(resource)) === 0, "nothing stays locked");
  const next = await factory.acquire(resource, { wait: 0 });
  await next.release();
});

test("workers that come and go leave no descriptor behind", { skip: process.platform !== "linux" }, async (t) => {
  const { readdir } = await import("node:fs/promises");
  const descriptors = async () => (await readdir("/proc/self/fd")).length;
  const resource = newResource();
  const lock = await newFactory(t).acquire(resource);
  const comeAndGo = async () => {
    const ended = once(startWorker(t, "hold", { resource: newResource() }), "exit");
    const waiting = startWorker(t, "wait", { resource });
    await once(waiting, "message");
    await waiting.terminate();
    await ended;
  };
  await comeAndGo();
  const before = await descriptors();
  for (let i = 0; i < 10; i++) await comeAndGo();
  await until(async () => (await descriptors()) <= before, "the descriptors are closed");
  await lock.release();
});

// Bad input: always a TypeError or a RangeError with a message that helps, never a crash.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Factory, Lock, optionTable, ReentrantLock } from "libredlock";
import { failureOf, newFactory, newResource, urls } from "./support.mjs";

function isBadInput(error, Class, words) {
  assert.ok(error instanceof Class, `${error?.stack ?? error}`);
  assert.equal(error.code, "REDLOCK_ERR_INVALID_ARGUMENT");
  assert.match(error.message, words);
}

const BAD_NAMES = [
  [undefined, /must be a string, not undefined/],
  [null, /not null/],
  [7, /not 7/],
  [{}, /not an object/],
  ["", /empty/],
  ["a\0b", /NUL/],
  ["half \ud800 pair", /surrogate/],
  ["x".repeat(513), /513 bytes; at most 512/],
  ["ä".repeat(257), /514 bytes/],
  ["x".repeat(50_000_000), /at most 512/],
  [[], /at least one/],
  [["ok", 5], /resources\[1\] must be a string/],
];

for (const [name, words] of BAD_NAMES) {
  test(`a resource cannot be ${String(JSON.stringify(name)).slice(0, 30)}`, async (t) => {
    const factory = newFactory(t);
    isBadInput(await failureOf(factory.acquire(name)), TypeError, words);
    isBadInput(await failureOf(factory.tryAcquire(name)), TypeError, words);
    isBadInput(await failureOf(factory.using(name, () => {})), TypeError, words);
    if (!Array.isArray(name)) isBadInput(await failureOf(factory.isLocked(name)), TypeError, words);
  });
}

test("the longest names and strange ones are possible", async (t) => {
  const factory = newFactory(t);
  for (const name of [newResource().padEnd(512, "x"), `${newResource()} ä€😀\n\r\t{}*"'`]) {
    const lock = await factory.acquire(name);
    assert.equal(lock.resource, name);
    assert.equal(await factory.isLocked(name), true);
    await lock.release();
  }
});

const BAD_TTLS = [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60, -(2 ** 60)];

for (const ttl of BAD_TTLS) {
  test(`a TTL cannot be ${ttl}`, async (t) => {
    const factory = newFactory(t);
    isBadInput(await failureOf(factory.acquire(newResource(), { ttl })), RangeError, /ttl/);
    const lock = await factory.acquire(newResource());
    isBadInput(await failureOf(lock.extend(ttl)), RangeError, /ttl/);
    assert.ok(lock.validity > 0, "a refused extension leaves the lock as it was");
    await lock.release();
  });
}

test("a TTL is a number, at most max_ttl_ms where the guard is strict, and 30 days anywhere", async (t) => {
  const lenient = newFactory(t, { maxTtlMs: 5000 });
  const days = 24 * 60 * 60 * 1000;
  const long = await lenient.acquire(newResource(), { ttl: 30 * days });
  // More than a timer of JavaScript's can wait for.
  assert.equal(long.signal.aborted, false);
  assert.ok(long.validity > 29 * days);
  await long.release();
  isBadInput(await failureOf(lenient.acquire(newResource(), { ttl: 30 * days + 1 })), TypeError, /30 days/);
  const factory = newFactory(t, { maxTtlMs: 5000, restartGuard: "strict" });
  await factory.trustNodes();
  for (const ttl of ["100", 100n, null, {}]) {
    isBadInput(await failureOf(factory.acquire(newResource(), { ttl })), TypeError, /ttl must be a number/);
  }
  isBadInput(await failureOf(factory.acquire(newResource(), { ttl: 5001 })), TypeError, /max_ttl_ms allows/);
  const lock = await factory.acquire(newResource(), { ttl: 5000 });
  isBadInput(await failureOf(lock.extend()), TypeError, /ttl must be a number/);
  isBadInput(await failureOf(lock.extend(5001)), TypeError, /max_ttl_ms allows/);
  await lock.release();
});

test("a wait is a number of milliseconds or Infinity", async (t) => {
  const factory = newFactory(t);
  for (const wait of [-1, 0.5, Number.NaN, Number.NEGATIVE_INFINITY]) {
    isBadInput(await failureOf(factory.acquire(newResource(), { wait })), RangeError, /wait is/);
  }
  for (const wait of ["5", 5n, null]) {
    isBadInput(await failureOf(factory.acquire(newResource(), { wait })), TypeError, /wait must be a number/);
  }
});

test("other settings are checked too", async (t) => {
  const factory = newFactory(t);
  const acquire = (options) => failureOf(factory.acquire(newResource(), options));
  isBadInput(await acquire({ signal: {} }), TypeError, /must be an AbortSignal/);
  isBadInput(await acquire({ timeout: 5 }), TypeError, /no option "timeout" here; there are ttl, wait/);
  isBadInput(await acquire(5000), TypeError, /options must be an object/);
  isBadInput(await acquire(null), TypeError, /options must be an object/);
  isBadInput(await failureOf(factory.tryAcquire(newResource(), { wait: 5 })), TypeError, /no option "wait"/);
  isBadInput(await failureOf(factory.using(newResource())), TypeError, /work must be a function/);
  isBadInput(await failureOf(factory.using(newResource(), {}, "work")), TypeError, /work must be a function/);
  // As node-redlock has it: the second argument is the one that is wrong.
  const using = (...rest) => failureOf(factory.using([newResource()], ...rest));
  for (const rest of [[5000, {}, () => {}], [5000, () => {}], [5000]])
    isBadInput(await using(...rest), TypeError, /options must be an object such as \{ ttl: 5000 \}, not 5000/);
  isBadInput(await failureOf(() => factory.reentrant("")), TypeError, /empty/);
  isBadInput(await failureOf(() => factory.reentrant("r", { ttl: 0 })), RangeError, /ttl is 0/);
});

const BAD_URLS = [
  ["", /./],
  ["http://127.0.0.1", /unknown scheme/],
  ["redis://127.0.0.1:99999", /./],
  [["redis://127.0.0.1:1", "redis://127.0.0.1:1/0"], /same server/],
  [[], /at least one node/],
  [7, /must be a string/],
  [null, /must be a string/],
  [["redis://127.0.0.1:1", null], /urls\[1\] must be a string/],
  ["redis://a\0b", /NUL/],
  [Array.from({ length: 65 }, (_, i) => `redis://127.0.0.1:${i + 1}`), /64/],
];

for (const [bad, words] of BAD_URLS) {
  test(`a factory cannot have the URLs ${String(JSON.stringify(bad)).slice(0, 50)}`, async () => {
    isBadInput(await failureOf(() => new Factory(bad)), TypeError, words);
  });
}

test("a password stays out of messages", async () => {
  const error = await failureOf(() => new Factory("redis://user:secret@host:port"));
  assert.ok(!error.message.includes("secret"), error.message);
});

test("options of a factory are known and have sensible values", async (t) => {
  const made = (options) => failureOf(() => new Factory(urls, options));
  isBadInput(await made({ nodeTimeout: 5 }), TypeError, /node_timeout/);
  isBadInput(await made({ nodeTimeoutMs: -5 }), TypeError, /node_timeout_ms/);
  isBadInput(await made({ nodeTimeoutMs: Number.NaN }), TypeError, /node_timeout_ms/);
  isBadInput(await made({ nodeTimeoutMs: {} }), TypeError, /nodeTimeoutMs must be/);
  isBadInput(await made({ protocol: "resp4" }), TypeError, /auto, resp2, resp3/);
  isBadInput(await made("fast"), TypeError, /options must be an object/);
  isBadInput(await made(null), TypeError, /options must be an object/);
  isBadInput(await made({ tlsCaFile: "a\0b" }), TypeError, /NUL/);
  newFactory(t, { nodeTimeoutMs: "auto", retryMinMs: 1, keyPrefix: undefined, node_timeout_ms: 70 });
});

test("the table of options says what there is", () => {
  const table = optionTable();
  const timeout = table.find((option) => option.name === "nodeTimeoutMs");
  assert.equal(timeout.default, "auto");
  assert.match(timeout.description, /how long a node may take/i);
});

test("URLs can be URL objects and a single string", async (t) => {
  const one = new Factory(urls[0]);
  t.after(() => one.close());
  const all = new Factory(urls.map((url) => new URL(url)));
  t.after(() => all.close());
  await (await one.acquire(newResource())).release();
  await (await all.acquire(newResource())).release();
});

test("locks and holders are not made by hand", async () => {
  isBadInput(await failureOf(() => new Lock()), TypeError, /comes from/);
  isBadInput(await failureOf(() => new ReentrantLock()), TypeError, /comes from/);
  assert.throws(() => Factory(urls), TypeError);
});

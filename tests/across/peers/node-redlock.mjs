#!/usr/bin/env node
// A party of the tests across languages that uses node-redlock instead of ours: takes a lock and gives it back as standard
// input says. Its packages are those of bench/peers/node-redlock.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../../../bench/peers/node-redlock/main.js", import.meta.url));
const { default: Redis } = require("ioredis");
const { default: Redlock, ExecutionError, ResourceLockedError } = require("redlock");

const clients = process.env.REDLOCK_TEST_URLS.split(",").map((url) => new Redis(url));
const redlock = new Redlock(clients);
let lock = null;

const orders = {
  async try(resource, ttl) {
    lock = await redlock.acquire([resource], Number(ttl), { retryCount: 0 });
  },
  async wait(resource, ttl) {
    lock = await redlock.acquire([resource], Number(ttl), { retryCount: -1 });
  },
  async release() {
    await lock.release();
  },
};

/** Whether the nodes that refused did so because another holds the lock. */
async function isContended(error) {
  if (!(error instanceof ExecutionError)) return false;
  const attempts = await Promise.all(error.attempts);
  const refusals = attempts.flatMap((attempt) => [...attempt.votesAgainst.values()]);
  return refusals.every((refusal) => refusal instanceof ResourceLockedError);
}

/** The answer to a line: try RESOURCE TTL | wait RESOURCE TTL | release. */
async function obey(line) {
  const [order, ...rest] = line.split(" ");
  try {
    await orders[order](...rest);
    return "ok";
  } catch (error) {
    return (await isContended(error)) ? "contended" : `error ${error.message}`;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${await obey(line)}\n`);
}
for (const client of clients) client.disconnect();

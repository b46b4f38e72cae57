#!/usr/bin/env node
// A party of the tests across languages, in JavaScript: takes a lock and gives it back as standard input says.

import { createInterface } from "node:readline";
import { ContendedError, Factory } from "../../../bindings/node/lib/index.mjs";

/** The settings are arguments: name=value, named here as JavaScript names things. */
function settings(args) {
  const camelCase = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
  return Object.fromEntries(args.map((arg) => arg.split("=")).map(([name, value]) => [camelCase(name), value]));
}

const factory = new Factory(process.env.REDLOCK_TEST_URLS.split(","), settings(process.argv.slice(2)));
let lock = null;

const orders = {
  async try(resource, ttl) {
    lock = await factory.tryAcquire(resource, { ttl: Number(ttl) });
    return lock ? `ok ${lock.fence}` : "contended";
  },
  async wait(resource, ttl) {
    lock = await factory.acquire(resource, { ttl: Number(ttl) });
    return `ok ${lock.fence}`;
  },
  async release() {
    await lock.release();
    return "ok";
  },
};

/** The answer to a line: try RESOURCE TTL | wait RESOURCE TTL | release. */
async function obey(line) {
  const [order, ...rest] = line.split(" ");
  try {
    return await orders[order](...rest);
  } catch (error) {
    return error instanceof ContendedError ? "contended" : `error ${error.message}`;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${await obey(line)}\n`);
}
await factory.close();

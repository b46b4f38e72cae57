// What goes wrong while nobody looks: locks that expire, are lost, are aborted, factories that are closed under them.

import { setTimeout as sleep } from "node:timers/promises";
import { Factory } from "libredlock";

process.on("unhandledRejection", (reason) => {
  console.log("unhandled", reason);
  process.exit(1);
});

const urls = process.env.REDLOCK_TEST_URLS.split(",");
const [resource] = process.argv.slice(2);
const factory = new Factory(urls);
const nowhere = new Factory(["redis://127.0.0.1:1", "redis://127.0.0.1:2"], { connectTimeoutMs: 50 });

const expiring = await factory.acquire(`${resource}:expiring`, { ttl: 30 });
const { signal } = expiring;
await factory.acquire(`${resource}:forgotten`, { ttl: 30 });
const held = await factory.acquire(`${resource}:held`);

const controller = new AbortController();
const failing = [
  factory.acquire(`${resource}:held`, { signal: controller.signal }),
  factory.acquire(`${resource}:held`, { wait: 20 }),
  nowhere.acquire(resource, { wait: 20 }),
  nowhere.acquire(resource),
  nowhere.isLocked(resource),
  factory.reentrant(`${resource}:held`, { wait: 0 }).acquire(),
  factory.using(`${resource}:held`, { wait: 0 }, () => {}),
];
const settled = Promise.allSettled(failing);
controller.abort();
while (!signal.aborted) await sleep(5);
await nowhere.close();
const outcomes = await settled;
await held.release();
await factory.close();
globalThis.gc?.();
await sleep(20);
const failed = outcomes.filter((outcome) => outcome.status === "rejected").length;
console.log(failed === failing.length ? "all quiet" : `${failed} of ${failing.length} failed`);

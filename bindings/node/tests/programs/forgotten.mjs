// Locks and factories that nobody releases or closes.

import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Factory } from "libredlock";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");
const urls = process.env.REDLOCK_TEST_URLS.split(",");
const factory = new Factory(urls);

await factory.acquire(`node:forgotten:${process.pid}`, { ttl: 60_000 });
for (let i = 0; i < 10; i++) {
  collect();
  await sleep(5);
}
if (!(await factory.isLocked(`node:forgotten:${process.pid}`)))
  throw new Error("it was released when it was collected");
console.log("held until the TTL");

let forgotten = 0;

async function forget(count) {
  for (let i = 0; i < count; i++) {
    // Long enough for a busy machine: a lock that has run out by the time that its event is taken is a failure.
    await factory.acquire(`node:forgotten:${process.pid}:${forgotten++}`, { ttl: 5000 });
    if (i % 100 === 0) new Factory(urls);
  }
  for (let i = 0; i < 20; i++) {
    collect();
    await sleep(10);
  }
}

await forget(2000);
const before = process.memoryUsage.rss();
for (let i = 0; i < 5; i++) await forget(2000);
const grown = process.memoryUsage.rss() - before;
console.log(grown < 16 << 20 ? "memory is steady" : `memory grew by ${grown}`);

// Two kept locks to which nothing refers; somebody listens to the loss of one of them.

import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Factory } from "libredlock";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");
const factory = new Factory(process.env.REDLOCK_TEST_URLS.split(","));
const [resource] = process.argv.slice(2);
const [forgotten, listened] = [`${resource}:forgotten`, `${resource}:listened`];

await factory.acquire(forgotten, { ttl: 30_000, keepAlive: true });
let heard = false;
await (async () => {
  const lock = await factory.acquire(listened, { ttl: 2000, keepAlive: true });
  lock.signal.addEventListener("abort", () => {
    heard = true;
  });
})();

while (await factory.isLocked(forgotten)) {
  collect();
  await sleep(5);
}
console.log("the forgotten one is free");

// Nothing but the lock refers to its factory, which must not be collected and closed under it. It shares its nodes with no other.
const urls = process.env.REDLOCK_TEST_URLS.split(",");
const alone = await new Factory(urls, { fairGraceMs: 51 }).acquire(`${resource}:alone`, { ttl: 300 });
alone.keepAlive();
const unkept = await factory.acquire(`${resource}:unkept`, { ttl: 1000 });
while (unkept.validity > 0) {
  collect();
  await sleep(5);
}
console.log(alone.validity > 0 ? "a kept lock has kept its factory" : "the factory is gone");
await alone.release();
if (await factory.isLocked(listened)) console.log("the other one is held");
await factory.close();
while (!heard) await sleep(5);
console.log("and its loss is heard of");

// 1,000 acquires wait for one lock while files are read and timers fire; then each has its turn.

import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Factory } from "libredlock";

const COUNT = 1000;
const factory = new Factory(process.env.REDLOCK_TEST_URLS.split(","));
const resource = `node:pending:${process.pid}`;
const holder = await factory.acquire(resource, { ttl: 60_000 });

let pending = COUNT;
let inside = 0;
let turns = 0;
async function turn() {
  const lock = await factory.acquire(resource);
  pending -= 1;
  inside += 1;
  if (inside !== 1) throw new Error("two at once");
  turns += 1;
  inside -= 1;
  await lock.release();
}
const all = Array.from({ length: COUNT }, turn);

let files = 0;
let timers = 0;
const self = fileURLToPath(import.meta.url);
for (let i = 0; i < 200; i++) {
  files += Number((await readFile(self)).length > 0);
  await sleep(1);
  timers += 1;
}
await holder.extend(60_000);
console.log(`${pending} pending, ${files} files read, ${timers} timers fired`);
await holder.release();
await Promise.all(all);
console.log(`${turns} had their turn`);

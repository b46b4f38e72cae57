// The shortest useful program: takes a lock, says for how long it is proven held, and gives it back.
import { Factory } from "libredlock";

const factory = new Factory(process.argv.slice(2)); // node first.mjs URL...
const lock = await factory.acquire("invoice:17", { ttl: 10_000, wait: 2000 });
console.log(`invoice:17 is ours for ${Math.floor(lock.validity / 1000)} s`);
console.log("for another one:", await factory.tryAcquire("invoice:17"));
await lock.release();
await factory.close();

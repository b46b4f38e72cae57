// Has nothing to do but to wait for a lock.

import { Factory } from "libredlock";

const factory = new Factory(process.env.REDLOCK_TEST_URLS.split(","));
await factory.isLocked(process.argv[2]);
console.log("waiting");
const lock = await factory.acquire(process.argv[2]);
console.log("got it");
lock.release();

// Ends although it has a factory, holds a lock and listens to its signal.

import { Factory } from "libredlock";

const factory = new Factory(process.env.REDLOCK_TEST_URLS.split(","));
const lock = await factory.acquire(process.argv[2], { ttl: 1000 });
lock.signal.addEventListener("abort", () => console.log("lost"));
await lock.extend(60_000);
console.log("held");

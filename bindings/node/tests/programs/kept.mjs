// Ends while it keeps a lock alive.

import { Factory } from "libredlock";

const factory = new Factory(process.env.REDLOCK_TEST_URLS.split(","));
const lock = await factory.acquire(process.argv[2], { ttl: 1000, keepAlive: true });
lock.signal.addEventListener("abort", () => console.log("lost"));

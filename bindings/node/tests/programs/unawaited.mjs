// Starts operations and awaits none of them.

import { Factory } from "libredlock";

const factory = new Factory(process.env.REDLOCK_TEST_URLS.split(","));
factory.acquire(process.argv[2], { ttl: 60_000 }).then((lock) => {
  lock.release();
});

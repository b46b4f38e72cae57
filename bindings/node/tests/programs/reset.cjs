// Loads the package a hundred times, as a test runner does that forgets modules, and counts descriptors.

const { readdirSync } = require("node:fs");

const [resource] = process.argv.slice(2);
const descriptors = () => readdirSync("/proc/self/fd").length;

async function use() {
  for (const name of Object.keys(require.cache)) delete require.cache[name];
  const { Factory } = require("libredlock");
  // Never closed, as in a careless test.
  const lock = await new Factory(process.env.REDLOCK_TEST_URLS.split(",")).acquire(resource);
  await lock.release();
}

(async () => {
  await use();
  const before = descriptors();
  for (let i = 0; i < 100; i++) await use();
  console.log(descriptors() <= before ? "no descriptor more" : `${descriptors() - before} descriptors more`);
})();

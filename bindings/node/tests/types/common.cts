// How a TypeScript program uses the package as a CommonJS module: compiled by tsc, then run.

import assert = require("node:assert/strict");
import redlock = require("libredlock");

async function main(): Promise<void> {
  const urls = process.env.REDLOCK_TEST_URLS?.split(",") ?? [];
  const factory: redlock.Factory = new redlock.Factory(urls);
  const lock: redlock.Lock = await factory.acquire(`node:types:common:${process.pid}`);
  await lock.release();
  const error = await lock.release().catch((reason: unknown) => reason);
  assert.ok(error instanceof redlock.ReleasedError);
  const code: string = error.code;
  assert.equal(code, "REDLOCK_ERR_RELEASED");
  await factory.close();
  const [option] = redlock.optionTable();
  assert.ok(option?.name);
  console.log("common ok");
}

void main();

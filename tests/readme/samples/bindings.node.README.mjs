// The samples of bindings/node/README.md, each in its place.
import assert from "node:assert/strict";
import http from "node:http";
import { Factory, NoQuorumError } from "libredlock";

const factory = new Factory(process.env.REDLOCK_TEST_URLS.split(","));

async function using() {
  const fences = [];
  const server = http.createServer((request, response) => response.end(fences.push(request.headers["x-fence"]).toString()));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}/`;
  // @sample using
  server.close();
  server.closeAllConnections();
  assert.ok(Number(fences[0]) > 0);
}

async function several() {
  // @sample several
  assert.equal(lock.resources.length, 2);
  await lock.release();
}

async function reentrant() {
  // @sample holder
  assert.equal(holder.count, 0);
}

async function errors() {
  const unreachable = new Factory("redis://127.0.0.1:1");
  const factory = unreachable;
  // @sample errors
  await unreachable.close();
}

await using();
await several();
await reentrant();
await errors();
await factory.close();

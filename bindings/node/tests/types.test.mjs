// TypeScript programs: tsc takes them, with the package's types, and what it makes of them runs.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const directory = fileURLToPath(new URL(".", import.meta.url));

/** Runs a program with Node; a failure tells what it said. */
async function node(...args) {
  const { stdout } = await run(process.execPath, args, { cwd: directory }).catch((error) => {
    throw new Error(`${error.stdout}\n${error.stderr}`);
  });
  return stdout;
}

test("programs in TypeScript compile and run", async () => {
  const packages = path.dirname(createRequire(import.meta.url).resolve("typescript/package.json"));
  await node(path.join(packages, "bin", "tsc"), "-p", "types", "--pretty", "false");
  assert.match(await node("out/module.mjs"), /module ok/);
  assert.match(await node("out/common.cjs"), /common ok/);
});

// Loading: the library is found, its version fits, and what is wrong is said in plain words.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import redlock, * as exported from "libredlock";

const run = promisify(execFile);
const require = createRequire(import.meta.url);

async function scratch(t) {
  const directory = await mkdtemp(path.join(tmpdir(), "libredlock-"));
  t.after(() => rm(directory, { recursive: true }));
  return directory;
}

/** Loads the package in a process of its own, with a library given by its file. */
function load(library) {
  return run(process.execPath, ["-e", 'console.log(require("libredlock").versions.library)'], {
    cwd: import.meta.url.startsWith("file:") ? path.dirname(new URL(import.meta.url).pathname) : undefined,
    env: { ...process.env, REDLOCK_LIBRARY: library },
  });
}

/** A shared library that says it is libredlock of some version. */
async function libraryOfVersion(t, version) {
  const directory = await scratch(t);
  const [source, library] = [path.join(directory, "version.c"), path.join(directory, "libredlock.so.0")];
  const body =
    version === null ? "int other(void) { return 0; }" : `const char *redlock_version(void) { return "${version}"; }`;
  await writeFile(source, `${body}\n`);
  await run("cc", ["-shared", "-fPIC", "-o", library, source]);
  return library;
}

test("import and require give the same package", () => {
  const required = require("libredlock");
  assert.equal(redlock, required);
  for (const [name, value] of Object.entries(required)) assert.equal(exported[name], value, name);
  assert.equal(exported.versions.binding, require("../package.json").version);
});

test("the types know all options, and the statuses are the header's", async () => {
  const read = (file) => readFile(new URL(file, import.meta.url), "utf8");
  const types = await read("../lib/index.d.ts");
  // The option `credentials`, which is a function, sets that one.
  const names = redlock.optionTable().map(({ name }) => name.replace("askCredentials", "credentials"));
  for (const name of names) assert.ok(types.includes(`  ${name}?:`), `FactoryOptions lacks ${name}`);
  const header = await read("../../../include/redlock.h");
  const defined = [...header.matchAll(/^ {2}REDLOCK_(?:ERR_(\w+)|(OK)) = (\d+),$/gm)].map(([, error, ok, number]) => [
    error ?? ok,
    Number(number),
  ]);
  assert.ok(defined.length > 10);
  const statuses = Object.fromEntries(defined);
  assert.deepEqual({ ...redlock.Status }, statuses);
  for (const [name, number] of Object.entries(statuses)) assert.ok(types.includes(`  ${name}: ${number};`), name);
});

test("a library of another version is refused with both versions", async (t) => {
  for (const version of ["0.2.0", "1.0.0", "9.9.9"]) {
    const library = await libraryOfVersion(t, version);
    const pattern = new RegExp(
      `libredlock ${version} .*does not fit this package, which is ${exported.versions.binding}`,
    );
    await assert.rejects(load(library), (error) => pattern.test(error.stderr));
  }
});

test("what is not libredlock is refused", async (t) => {
  const library = await libraryOfVersion(t, null);
  await assert.rejects(load(library), (error) => /is not libredlock/.test(error.stderr));
  const text = path.join(await scratch(t), "libredlock.so.0");
  await writeFile(text, "not a library");
  await assert.rejects(load(text), (error) => /could not be loaded/.test(error.stderr));
});

test("a missing library is explained", async () => {
  const explained = (error) =>
    error.stderr.includes("/nowhere/libredlock.so") && error.stderr.includes("REDLOCK_LIBRARY");
  await assert.rejects(load("/nowhere/libredlock.so"), explained);
});

test("a library can be named by its file", { skip: !process.env.REDLOCK_LIBRARY }, async (t) => {
  const copy = path.join(await scratch(t), "elsewhere.so");
  await copyFile(process.env.REDLOCK_LIBRARY, copy);
  const { stdout } = await load(copy);
  assert.equal(stdout.trim(), exported.versions.library);
});

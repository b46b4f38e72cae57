// The package as its users get it: packed, installed into a project of its own, and the README's words proven right.

import assert from "node:assert/strict";
import { chmod, copyFile, cp, mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { binding, examples, npm, pack, project, run, scratch } from "./project.mjs";
import { urls } from "./support.mjs";

/** The README's fenced block after a comment. */
async function block(comment) {
  const readme = await readFile(path.join(binding, "README.md"), "utf8");
  const [, after] = readme.split(`<!-- ${comment} -->\n`);
  assert.ok(after, `README.md has no block ${comment}`);
  return after.split("```")[1].replace(/^.*\n/, "");
}

/** Whether the package can be loaded in a folder. */
async function loads(directory) {
  const program = 'console.log(require("libredlock").versions.binding)';
  const { stdout } = await run(process.execPath, ["-e", program], { cwd: directory });
  return stdout.trim() === VERSION;
}

const VERSION = JSON.parse(await readFile(path.join(binding, "package.json"), "utf8")).version;

test("the README's first example is the program that it names", async () => {
  assert.equal(await block("examples/node/first.mjs"), await readFile(path.join(examples, "first.mjs"), "utf8"));
});

test("an installed package runs the examples", async (t) => {
  const directory = await project(t);
  const example = async (name) => {
    await copyFile(path.join(examples, name), path.join(directory, name));
    const { stdout } = await run(process.execPath, [name, ...urls], { cwd: directory });
    return stdout;
  };
  assert.equal(await example("first.mjs"), await block("prints"));
  const story = await example("workers.mjs");
  assert.equal(story.match(/ paid invoice:/g).length, 10);
  assert.match(story, /10 of 10 invoices are paid, each once/);
  assert.match(story, /moving money between account:a and account:b/);
});

test("what npm does later leaves an installed package whole", async (t) => {
  const directory = await project(t);
  const other = await scratch(t, "other");
  await writeFile(path.join(other, "package.json"), JSON.stringify({ name: "other", version: "1.0.0" }));
  await npm(directory, "install", `./${await pack(directory, other)}`);
  assert.ok(await loads(directory));
  await npm(directory, "ci");
  assert.ok(await loads(directory));
  await rm(path.join(directory, "node_modules"), { recursive: true });
  await npm(directory, "install");
  assert.ok(await loads(directory));
});

/** A clone in which npm has installed nothing yet, and the programs that it finds: a `cargo` and npm's own. */
async function clone(t, cargo) {
  const root = await scratch(t, "clone");
  const [folder, programs] = [path.join(root, "bindings", "node"), path.join(root, "programs")];
  await cp(binding, folder, {
    recursive: true,
    filter: (file) => !/node_modules|\/native$|\/tests$|\.tgz$/.test(file),
  });
  await writeFile(path.join(root, "Cargo.toml"), "");
  await mkdir(programs);
  await symlink(process.execPath, path.join(programs, "node"));
  await writeFile(path.join(programs, "cargo"), `#!/bin/sh\n${cargo}\n`);
  await chmod(path.join(programs, "cargo"), 0o755);
  return { root, folder, programs };
}

function library({ root, folder, programs }, environment) {
  return run(process.execPath, ["scripts/library.js"], {
    cwd: folder,
    env: { HOME: root, PATH: `${programs}:/usr/bin:/bin`, ...environment },
  });
}

test("a library that is installed is found before any dependency is, and nothing is built", async (t) => {
  const place = await clone(t, "echo cargo was called >&2; exit 1");
  await library(place, { REDLOCK_LIBRARY: process.env.REDLOCK_LIBRARY });
  await library(place, { LD_LIBRARY_PATH: path.dirname(process.env.REDLOCK_LIBRARY) });
});

test("where none is installed, or one of another version, cargo builds it into the package", async (t) => {
  const place = await clone(t, 'mkdir -p target/release && cp "$BUILT" target/release/libredlock.so');
  const built = path.join(place.folder, "native", "libredlock.so.0");
  await library(place, { BUILT: process.env.REDLOCK_LIBRARY });
  await run(process.execPath, [
    "-e",
    `process.exit(require("fs").statSync(${JSON.stringify(built)}).size > 0 ? 0 : 1)`,
  ]);
  await rm(built);
  const other = path.join(place.root, "libredlock.so.9.9.9");
  await copyFile(process.env.REDLOCK_LIBRARY, other);
  await library(place, { BUILT: process.env.REDLOCK_LIBRARY, REDLOCK_LIBRARY: other });
  assert.ok((await readFile(built)).length > 0);
});

test("a failure of cargo says where to read on", async (t) => {
  const place = await clone(t, "exit 1");
  await assert.rejects(library(place, {}), /libredlock is not installed, and cargo could not build it.*README/);
});

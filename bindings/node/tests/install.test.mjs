// The package as its users get it: packed, installed into a project of its own, and the README's words proven right.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { urls } from "./support.mjs";

const run = promisify(execFile);
const binding = fileURLToPath(new URL("..", import.meta.url));
const examples = path.join(binding, "..", "..", "examples", "node");

/** The README's fenced block after a comment. */
async function block(comment) {
  const readme = await readFile(path.join(binding, "README.md"), "utf8");
  const [, after] = readme.split(`<!-- ${comment} -->\n`);
  assert.ok(after, `README.md has no block ${comment}`);
  return after.split("```")[1].replace(/^.*\n/, "");
}

/** A project that has installed the package. */
async function project(t) {
  const directory = await mkdtemp(path.join(tmpdir(), "libredlock-user-"));
  t.after(() => rm(directory, { recursive: true }));
  await writeFile(path.join(directory, "package.json"), "{}");
  await run("npm", ["install", "--install-links", "--ignore-scripts", "--prefer-offline", "--no-audit", binding], {
    cwd: directory,
  });
  return directory;
}

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
  const { stdout } = await run(
    process.execPath,
    ["-e", 'console.log(Object.keys(require("libredlock")).length > 10)'],
    {
      cwd: directory,
    },
  );
  assert.equal(stdout.trim(), "true");
});

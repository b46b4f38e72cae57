// A user's project: a folder outside of this one, with the package installed from a tarball.

import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const run = promisify(execFile);
export const binding = fileURLToPath(new URL("..", import.meta.url));
export const examples = path.join(binding, "..", "..", "examples", "node");

const QUIET = ["--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"];

/** Runs npm in a folder. */
export function npm(cwd, ...words) {
  return run("npm", [...words, ...QUIET], { cwd });
}

/** A folder that is gone after the test. */
export async function scratch(t, name = "user") {
  const directory = await mkdtemp(path.join(tmpdir(), `libredlock-${name}-`));
  t.after(() => rm(directory, { recursive: true }));
  return directory;
}

/** Packs the package into a folder; the tarball's name. */
export async function pack(directory, from = binding) {
  const { stdout } = await npm(directory, "pack", from, "--silent", "--ignore-scripts");
  return stdout.trim();
}

/** @type {Promise<string> | undefined} */
let template;

/** A project that has installed the package: once for all tests of a file. */
async function makeTemplate() {
  const directory = await mkdtemp(path.join(tmpdir(), "libredlock-template-"));
  process.on("exit", () => rmSync(directory, { recursive: true }));
  await writeFile(path.join(directory, "package.json"), "{}");
  await npm(directory, "install", `./${await pack(directory)}`);
  return directory;
}

/** A project that has installed the package, and these files. */
export async function project(t, files = {}) {
  template ??= makeTemplate();
  const directory = await scratch(t);
  await cp(await template, directory, { recursive: true });
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(directory, name), text);
  return directory;
}

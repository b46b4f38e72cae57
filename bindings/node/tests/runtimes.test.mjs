// The package in other runtimes, in bundles and under test runners.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { copyFile, readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { binding, examples, project, run } from "./project.mjs";
import { urls } from "./support.mjs";

const installed = path.join(binding, "tests", "runtimes", "node_modules");
const options = { skip: !existsSync(path.join(installed, ".installed")) && "the script `test` could not install them" };

const bin = (name) => path.join(installed, ".bin", name);

const prints = "invoice:17 is ours for 9 s\nfor another one: null\n";

async function withExample(t) {
  const directory = await project(t);
  await copyFile(path.join(examples, "first.mjs"), path.join(directory, "first.mjs"));
  return directory;
}

for (const [runtime, words] of Object.entries({ bun: [], deno: ["run", "--allow-all"] })) {
  test(`it works in ${runtime}`, options, async (t) => {
    const directory = await withExample(t);
    const { stdout } = await run(bin(runtime), [...words, "first.mjs", ...urls], { cwd: directory, timeout: 60_000 });
    assert.equal(stdout, prints);
  });
}

/** Bundles first.mjs in the project, with or without the package in it; the bundle's name. */
const bundlers = {
  async esbuild(directory, externals) {
    const words = ["first.mjs", "--bundle", "--platform=node", "--format=esm", "--outfile=bundle.mjs"];
    await run(bin("esbuild"), [...words, ...externals.map((name) => `--external:${name}`), "--log-level=error"], {
      cwd: directory,
    });
    return "bundle.mjs";
  },
  async webpack(directory, externals) {
    const config = {
      mode: "production",
      target: "node",
      context: directory,
      entry: "./first.mjs",
      externals: Object.fromEntries(externals.map((name) => [name, `commonjs ${name}`])),
      output: { path: directory, filename: "bundle.cjs" },
    };
    const program = `require("webpack")(${JSON.stringify(config)}, (error, stats) => process.exit(error || stats.hasErrors() ? (console.error(error ?? stats.toString()), 1) : 0))`;
    await run(process.execPath, ["-e", program], { cwd: path.dirname(installed) });
    return "bundle.cjs";
  },
};

for (const [name, bundle] of Object.entries(bundlers)) {
  test(`a bundle of ${name} works with the package outside`, options, async (t) => {
    const directory = await withExample(t);
    const file = await bundle(directory, ["libredlock"]);
    const { stdout } = await run(process.execPath, [file, ...urls], { cwd: directory });
    assert.equal(stdout, prints);
  });

  test(`a bundle of ${name} with the package inside says what to do`, options, async (t) => {
    const directory = await withExample(t);
    const file = await bundle(directory, []);
    await assert.rejects(run(process.execPath, [file, ...urls], { cwd: directory }), (error) => {
      assert.match(error.stderr, /libredlock could not load .*declare libredlock as external/s);
      return true;
    });
  });
}

const JEST = `
const { readdirSync } = require("node:fs");
const descriptors = () => readdirSync("/proc/self/fd").length;
let first = 0;
test.each(Array.from({ length: 100 }, (_, i) => i))("round %i", async (i) => {
  jest.resetModules();
  const { Factory, Lock } = require("libredlock");
  // Never closed, as in a careless test.
  const lock = await new Factory(${JSON.stringify(urls)}).acquire("jest");
  expect(lock).toBeInstanceOf(Lock);
  await lock.release();
  first ||= descriptors();
  expect(descriptors()).toBeLessThanOrEqual(first);
});
`;

test("Jest may reset modules a hundred times", options, async (t) => {
  const directory = await project(t, { "locks.test.js": JEST });
  const jest = path.join(installed, "jest", "bin", "jest.js");
  const words = [jest, "--rootDir", directory, "--runInBand", "--watchman=false", "--forceExit"];
  const { stderr } = await run(process.execPath, words, { cwd: directory });
  assert.match(stderr, /Tests: +100 passed/);
});

const VITEST = `
import { Factory } from "libredlock";
for (let i = 0; i < 3; i++) {
  test("round " + i, async () => {
    vi.resetModules();
    const factory = new Factory(${JSON.stringify(urls)});
    await factory.using("vitest", { ttl: 5000 }, async (lock) => expect(lock.validity).toBeGreaterThan(0));
    await factory.close();
  });
}
`;

for (const pool of ["threads", "forks"]) {
  test(`it works under Vitest, in ${pool}`, options, async (t) => {
    const directory = await project(t, { "one.test.mjs": VITEST, "two.test.mjs": VITEST });
    const vitest = path.join(installed, "vitest", "vitest.mjs");
    const words = [vitest, "run", "--root", directory, "--globals", `--pool=${pool}`, "--reporter=dot"];
    const { stdout } = await run(process.execPath, words, { cwd: directory });
    assert.match(stdout, /Tests .*6 passed/);
  });
}

test("the README names what bundlers need", async () => {
  const readme = await readFile(path.join(binding, "README.md"), "utf8");
  for (const words of ["--external:libredlock", 'externals: { libredlock: "commonjs libredlock" }'])
    assert.ok(readme.includes(words), words);
});

"use strict";
// Builds libredlock into this package (native/), where none that fits is installed: for those who pack it from a clone
// (npm run library). The dependencies may be missing, so this needs none of them. Published packages have it from `make dist`.

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { fits } = require("../lib/version.js");
const { candidates } = require("../lib/candidates.js");
const { version } = require("../package.json");

const here = path.join(__dirname, "..");
const repository = path.join(here, "..", "..");

/** The version of the library that the binding would load; undefined where there is none, or where it cannot be told. */
function installedVersion() {
  // What is not made for Node is loaded all the same, and its name has its version.
  const program = `
    try { process.dlopen({ exports: {} }, ${JSON.stringify(candidates()[0])}); } catch {}
    const maps = require("fs").readFileSync("/proc/self/maps", "utf8");
    console.log(/ (\\/.*libredlock.*)$/m.exec(maps)?.[1] ?? "");`;
  const { stdout } = spawnSync(process.execPath, ["-e", program], { encoding: "utf8" });
  const file = stdout?.trim();
  return file ? /\.(\d+\.\d+\.\d+)$/.exec(file)?.[1] : undefined;
}

function build() {
  const target = process.env.CARGO_TARGET_DIR ?? "target";
  const built = spawnSync("cargo", ["rustc", "--release", "--locked", "--lib", "--crate-type", "cdylib"], {
    cwd: repository,
    stdio: "inherit",
  });
  if (built.status !== 0) {
    const why = built.error ? `: ${built.error.message}` : "";
    throw new Error(`libredlock is not installed, and cargo could not build it${why}; see Install in the README`);
  }
  const [from, to] =
    process.platform === "darwin" ? ["libredlock.dylib", "libredlock.0.dylib"] : ["libredlock.so", "libredlock.so.0"];
  const file = path.join(here, "native", to);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.copyFileSync(path.resolve(repository, target, "release", from), file);
  // Most of it is for debuggers only. Without the tool it stays.
  spawnSync("strip", ["--strip-unneeded", file]);
}

const found = installedVersion();
if (found === undefined || !fits(version, found)) {
  console.error("libredlock: building the library with cargo");
  build();
}

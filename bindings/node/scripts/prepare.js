"use strict";
// Builds libredlock into this package (native/), where none is installed: what `npm install` of a clone runs.

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const here = path.join(__dirname, "..");
const repository = path.join(here, "..", "..");

/** Whether the package finds a library that fits, in a process of its own. */
function loads() {
  return spawnSync(process.execPath, ["-e", 'require("./lib/native.js")'], { cwd: here }).status === 0;
}

function build() {
  const target = process.env.CARGO_TARGET_DIR ?? "target";
  const built = spawnSync("cargo", ["build", "--release", "--lib"], { cwd: repository, stdio: "inherit" });
  if (built.status !== 0) {
    throw new Error(`cargo could not build libredlock${built.error ? `: ${built.error.message}` : ""}`);
  }
  const [from, to] =
    process.platform === "darwin" ? ["libredlock.dylib", "libredlock.0.dylib"] : ["libredlock.so", "libredlock.so.0"];
  fs.mkdirSync(path.join(here, "native"), { recursive: true });
  fs.copyFileSync(path.resolve(repository, target, "release", from), path.join(here, "native", to));
}

if (!loads()) {
  if (fs.existsSync(path.join(repository, "Cargo.toml"))) {
    console.error("libredlock: building the library with cargo");
    build();
  } else {
    console.error("libredlock: the shared library is not installed; see the README");
  }
}

"use strict";
// Where the C library may be. Needs no other package: it is also used before any is installed.

const fs = require("node:fs");
const path = require("node:path");

const FILE = process.platform === "darwin" ? "libredlock.0.dylib" : "libredlock.so.0";

/** The package with the library for this system that npm has installed beside this one; for both C libraries if both are there. */
function packaged() {
  return ["gnu", "musl"].flatMap((libc) => {
    try {
      return [require.resolve(`@libredlock/${process.platform}-${process.arch}-${libc}/${FILE}`)];
    } catch {
      return [];
    }
  });
}

/** Where the library may be, best first. */
function candidates() {
  const named = process.env.REDLOCK_LIBRARY;
  if (named) {
    return [path.resolve(named)];
  }
  const bundled = path.join(__dirname, "..", "native", FILE);
  const here = fs.existsSync(bundled) ? [bundled] : packaged();
  // The bare name is looked up by the system's loader: LD_LIBRARY_PATH, ld.so.conf.
  return here.length > 0 ? here : [FILE];
}

module.exports = { candidates };

"use strict";
// Where the C library may be. Needs no other package: it is also used before any is installed.

const fs = require("node:fs");
const path = require("node:path");

const FILE = process.platform === "darwin" ? "libredlock.0.dylib" : "libredlock.so.0";

/** Where the library may be, best first. */
function candidates() {
  const named = process.env.REDLOCK_LIBRARY;
  if (named) {
    return [path.resolve(named)];
  }
  const bundled = path.join(__dirname, "..", "native", FILE);
  // The bare name is looked up by the system's loader: LD_LIBRARY_PATH, ld.so.conf.
  return fs.existsSync(bundled) ? [bundled] : [FILE];
}

module.exports = { candidates };

"use strict";
// The package's face: distributed locks over independent Redis masters.

// The first, since it says what is wrong where the package was bundled.
require("./koffi.js");
const { version } = require("../package.json");

/** Where the package is kept when it was loaded once. */
const KEY = Symbol.for(`libredlock ${version}`);

/** @type {any} */
const kept = globalThis;

// Test runners evaluate modules anew (jest.resetModules); connections and the completion queue are to be made once.
kept[KEY] ??= require("./exports.js");

module.exports = /** @type {typeof import("./exports.js")} */ (kept[KEY]);

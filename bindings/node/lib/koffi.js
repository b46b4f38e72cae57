"use strict";
// koffi, by which JavaScript calls C; or in our own words why it cannot be loaded.

/** @returns {typeof import("koffi")} */
function load() {
  try {
    return require("koffi");
  } catch (error) {
    throw Object.assign(
      new Error(
        "libredlock could not load the package koffi. It has a file of machine code, which a bundler cannot take into its " +
          "output: declare libredlock as external (esbuild: --external:libredlock; webpack: externals; Next.js: " +
          `serverExternalPackages), and install it where the program runs. (${/** @type {Error} */ (error).message})`,
      ),
      { cause: error },
    );
  }
}

module.exports = { koffi: load() };

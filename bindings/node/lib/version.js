"use strict";
// Which versions of the library a version of this package runs on. Needs no other package.

/**
 * Whether a library has all that a binding of some version needs: until 1.0 the same minor version, afterwards the same
 * major one and at least the minor one.
 *
 * @param {string} binding
 * @param {string} library
 */
function fits(binding, library) {
  const [wantedMajor, wantedMinor] = binding.split(".").map(Number);
  const [major, minor] = library.split(".").map(Number);
  return major === wantedMajor && (major === 0 ? minor === wantedMinor : minor >= wantedMinor);
}

module.exports = { fits };

"use strict";
// The C library: found, loaded, checked for its version, and its functions declared.

const { isMainThread } = require("node:worker_threads");
const { candidates } = require("./candidates.js");
const { koffi } = require("./koffi.js");
const { fits } = require("./version.js");
const { version: bindingVersion } = require("../package.json");

const POINTER = "void *";
const TEXT = "const char *";
const TEXTS = "const char **";
const STATUS = "int32_t";

// name: [result, parameters]. Handles are numbers, which koffi passes as pointers. So are results' places: a typed
// array is passed as the address of its content, which costs no conversion.
const FUNCTIONS = /** @type {const} */ ({
  error_code: [STATUS, [POINTER]],
  error_message: [TEXT, [POINTER]],
  error_node_count: ["size_t", [POINTER]],
  error_node_address: [TEXT, [POINTER, "size_t"]],
  error_node_status: [STATUS, [POINTER, "size_t"]],
  error_node_message: [TEXT, [POINTER, "size_t"]],
  error_free: ["void", [POINTER]],
  options_new: [STATUS, [POINTER, POINTER]],
  options_set: [STATUS, [POINTER, TEXT, TEXT, POINTER]],
  options_free: ["void", [POINTER]],
  option_count: ["size_t", []],
  option_name: [TEXT, ["size_t"]],
  option_default: [TEXT, ["size_t"]],
  option_description: [TEXT, ["size_t"]],
  factory_new: [STATUS, [TEXTS, "size_t", POINTER, POINTER, POINTER]],
  factory_free: ["void", [POINTER]],
  factory_check: [STATUS, [POINTER, POINTER, POINTER]],
  factory_trust_nodes: [STATUS, [POINTER, POINTER]],
  factory_set_credentials: [STATUS, [POINTER, TEXT, TEXT, POINTER]],
  factory_ask_for_credentials: [STATUS, [POINTER, POINTER, "uint64_t", POINTER]],
  factory_refuse_credentials: [STATUS, [POINTER, TEXT, POINTER]],
  lock_validity_ms: ["int64_t", [POINTER]],
  lock_token: [TEXT, [POINTER]],
  lock_fence_at: ["uint64_t", [POINTER, "size_t"]],
  lock_keep_alive: [STATUS, [POINTER, POINTER, "uint64_t", POINTER]],
  lock_free: ["void", [POINTER]],
  lock_detach: ["void", [POINTER]],
  queue_new: [STATUS, [POINTER, POINTER]],
  queue_fd: ["int", [POINTER]],
  queue_next: [STATUS, [POINTER, POINTER, "size_t", "int64_t", POINTER, POINTER]],
  queue_free: ["void", [POINTER]],
  free_at_thread_end: ["void", []],
  submit_acquire: [STATUS, [POINTER, TEXT, "uint64_t", "int64_t", POINTER, "uint64_t", POINTER]],
  submit_acquire_many: [STATUS, [POINTER, TEXTS, "size_t", "uint64_t", "int64_t", POINTER, "uint64_t", POINTER]],
  submit_release: [STATUS, [POINTER, POINTER, "uint64_t", POINTER]],
  submit_extend: [STATUS, [POINTER, "uint64_t", POINTER, "uint64_t", POINTER]],
  submit_is_locked: [STATUS, [POINTER, TEXT, POINTER, "uint64_t", POINTER]],
  cancel: [STATUS, [POINTER, "uint64_t", POINTER]],
  string_free: ["void", [POINTER]],
});

/** @typedef {{ (...args: any[]): any, async: (...args: any[]) => void }} NativeFunction */
/** @typedef {Record<keyof typeof FUNCTIONS, NativeFunction>} Native */

/** Loads the first library that can be loaded. */
function open() {
  const complaints = [];
  for (const candidate of candidates()) {
    try {
      return { file: candidate, library: koffi.load(candidate) };
    } catch (error) {
      complaints.push(`${candidate}: ${/** @type {Error} */ (error).message}`);
    }
  }
  throw new Error(
    `libredlock could not be loaded (${complaints.join("; ")}). npm installs it with this package, in ` +
      `@libredlock/${process.platform}-${process.arch}-*, for Linux on x64 and arm64, unless optional dependencies are left out ` +
      "(--omit=optional); elsewhere install libredlock, or name its file in the environment variable REDLOCK_LIBRARY.",
  );
}

/**
 * @param {import("koffi").LibraryHandle} library
 * @param {string} file
 */
function checkVersion(library, file) {
  let version;
  try {
    version = library.func("redlock_version", TEXT, [])();
  } catch {
    throw new Error(`${file} is not libredlock: it has no function redlock_version`);
  }
  if (!fits(bindingVersion, version)) {
    throw new Error(
      `libredlock ${version} (${file}) does not fit this package, which is ${bindingVersion} and needs libredlock ` +
        `${bindingVersion.replace(/\.\d+$/, ".x")}; install matching versions of both`,
    );
  }
  return version;
}

const { file, library } = open();
const libraryVersion = checkVersion(library, file);

/** @type {Record<string, any>} */
const native = {};
for (const [name, [result, parameters]] of Object.entries(FUNCTIONS)) {
  native[name] = library.func(`redlock_${name}`, result, [...parameters]);
}

if (!isMainThread) {
  // A worker can be terminated at any moment; what it holds, and what it was about to acquire, is then given back.
  native.free_at_thread_end();
}

module.exports = {
  native: /** @type {Native} */ (native),
  versions: Object.freeze({ binding: bindingVersion, library: libraryVersion }),
};

"use strict";
// How results come back from C: places that functions write to, and failures as plain data.

const { koffi } = require("./koffi.js");
const { native } = require("./native.js");
const { toError } = require("./errors.js");
const { statusName } = require("./status.js");

/** A place for one pointer; a function that is called synchronously can share them with all others. */
const out = new BigUint64Array(1);
const err = new BigUint64Array(1);

/**
 * Reads an error and frees it.
 *
 * @param {bigint} handle
 * @returns {import("./errors.js").Failure}
 */
function takeFailure(handle) {
  const failure = {
    status: native.error_code(handle),
    message: native.error_message(handle),
    nodes: Array.from({ length: Number(native.error_node_count(handle)) }, (_, i) => nodeOutcome(handle, i)),
  };
  native.error_free(handle);
  return failure;
}

/**
 * @param {bigint} handle
 * @param {number} i
 */
function nodeOutcome(handle, i) {
  const status = native.error_node_status(handle, i);
  return {
    address: native.error_node_address(handle, i),
    code: statusName(status),
    status,
    message: native.error_node_message(handle, i),
  };
}

/**
 * Throws what a function left in `err`, unless its status is REDLOCK_OK.
 *
 * @param {number} status
 */
function check(status) {
  if (status !== 0) {
    throw toError(takeFailure(err[0]));
  }
}

/**
 * Calls a function that may block on a thread of its own, and gives what it returned.
 *
 * @param {import("./native.js").NativeFunction} call
 * @param {...unknown} args
 * @returns {Promise<any>}
 */
function elsewhere(call, ...args) {
  return new Promise((resolve, reject) => {
    call.async(...args, (/** @type {unknown} */ error, /** @type {unknown} */ result) => {
      if (error) {
        reject(error);
      } else {
        resolve(result);
      }
    });
  });
}

/**
 * Copies a string that belongs to the caller, and frees it.
 *
 * @param {bigint} pointer
 * @returns {string}
 */
function takeString(pointer) {
  const text = koffi.decode.string(pointer);
  native.string_free(pointer);
  return text;
}

module.exports = { out, err, check, takeFailure, elsewhere, takeString };

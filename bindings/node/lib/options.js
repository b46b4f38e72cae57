"use strict";
// A factory's options: an object here, names and texts in the library, which knows what is allowed.

const { native } = require("./native.js");
const { check: checkStatus, err, out } = require("./results.js");
const { typeError } = require("./errors.js");
const { describe, text } = require("./arguments.js");

/**
 * nodeTimeoutMs is node_timeout_ms.
 *
 * @param {string} name
 */
function snakeCase(name) {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/**
 * node_timeout_ms is nodeTimeoutMs.
 *
 * @param {string} name
 */
function camelCase(name) {
  return name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
}

/**
 * @param {unknown} value
 * @param {string} name
 */
function toText(value, name) {
  switch (typeof value) {
    case "string":
      return text(value, name);
    case "number":
      return String(value);
    case "boolean":
      return value ? "on" : "off";
    default:
      throw typeError(`${name} must be a string, a number or a boolean, not ${describe(value)}`);
  }
}

/**
 * Calls `use` with the handle of the library's options, as `options` has them.
 *
 * @param {unknown} options
 * @param {(handle: bigint) => void} use
 */
function withOptions(options, use) {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw typeError(`options must be an object, not ${describe(options)}`);
  }
  checkStatus(native.options_new(out, err));
  const handle = out[0];
  try {
    for (const [name, value] of Object.entries(options)) {
      if (value !== undefined) {
        checkStatus(native.options_set(handle, snakeCase(text(name, "the option's name")), toText(value, name), err));
      }
    }
    use(handle);
  } finally {
    native.options_free(handle);
  }
}

/** All options that there are. */
function optionTable() {
  return Array.from({ length: Number(native.option_count()) }, (_, i) => ({
    name: camelCase(native.option_name(i)),
    default: native.option_default(i),
    description: native.option_description(i),
  }));
}

module.exports = { withOptions, optionTable };

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
 * A factory's options as the library has them, in an order that does not depend on how they were written.
 *
 * @param {unknown} options
 * @returns {[string, string][]}
 */
function optionTexts(options) {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw typeError(`options must be an object, not ${describe(options)}`);
  }
  return Object.entries(options)
    .filter(([, value]) => value !== undefined)
    .map(
      ([name, value]) =>
        /** @type {[string, string]} */ ([snakeCase(text(name, "the option's name")), toText(value, name)]),
    )
    .sort(([one], [other]) => (one < other ? -1 : 1));
}

/**
 * Calls `use` with the handle of the library's options.
 *
 * @param {[string, string][]} texts
 * @param {(handle: bigint) => void} use
 */
function withOptions(texts, use) {
  checkStatus(native.options_new(out, err));
  const handle = out[0];
  try {
    for (const [name, value] of texts) {
      checkStatus(native.options_set(handle, name, value, err));
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

module.exports = { optionTexts, withOptions, optionTable };

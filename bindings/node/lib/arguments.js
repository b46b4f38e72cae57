"use strict";
// What users pass in, checked here as far as C could misread it; everything else the library checks itself.

const { localError, rangeError, typeError } = require("./errors.js");
const { Status } = require("./status.js");

/** A NUL would end the name early for C, and a half of a surrogate pair has no form in UTF-8. */
const NOT_TEXT = /[\0\p{Surrogate}]/u;

/** Longer than every name that the library takes; its own message tells the limit. */
const FAR_TOO_LONG = 1 << 16;

/**
 * @param {unknown} value
 * @returns {string}
 */
function describe(value) {
  if (value === null || (typeof value !== "object" && typeof value !== "function")) {
    return typeof value === "string" ? JSON.stringify(value) : String(value);
  }
  return Array.isArray(value) ? "an array" : typeof value === "object" ? "an object" : "a function";
}

/**
 * @param {unknown} value
 * @param {string} parameter
 * @returns {string}
 */
function text(value, parameter) {
  if (typeof value !== "string") {
    throw typeError(`${parameter} must be a string, not ${describe(value)}`);
  }
  if (NOT_TEXT.test(value)) {
    throw typeError(`${parameter} must not contain NUL or half a surrogate pair`);
  }
  return value.length > FAR_TOO_LONG ? value.slice(0, FAR_TOO_LONG) : value;
}

/**
 * @param {unknown} value
 * @param {string} [parameter]
 * @returns {string}
 */
function resource(value, parameter = "resource") {
  if (value === "") {
    throw typeError(`${parameter} is empty; it must have 1 to 512 bytes`);
  }
  return text(value, parameter);
}

/**
 * @param {unknown} value
 * @returns {string[]}
 */
function resources(value) {
  if (!Array.isArray(value)) {
    return [resource(value)];
  }
  if (value.length === 0) {
    throw typeError("resources must name at least one resource");
  }
  return value.map((each, i) => resource(each, `resources[${i}]`));
}

/**
 * @param {unknown} value
 * @returns {number}
 */
function ttl(value) {
  if (typeof value !== "number") {
    throw typeError(`ttl must be a number of milliseconds, not ${describe(value)}`);
  }
  if (!Number.isSafeInteger(value) || value < 1) {
    throw rangeError(`ttl is ${value}: it must be a whole number of milliseconds, at least 1`);
  }
  return value;
}

/**
 * Milliseconds to wait, as C counts them: -1 is for ever.
 *
 * @param {unknown} value
 * @returns {number}
 */
function wait(value) {
  if (typeof value !== "number") {
    throw typeError(`wait must be a number of milliseconds or Infinity, not ${describe(value)}`);
  }
  if (value === Number.POSITIVE_INFINITY) {
    return -1;
  }
  if (!Number.isSafeInteger(value) || value < 0) {
    throw rangeError(`wait is ${value}: it must be a whole number of milliseconds, 0 (try once) or Infinity`);
  }
  return value;
}

/**
 * An AbortSignal is recognised by what it can do: it may come from another realm, or from a package.
 *
 * @param {unknown} value
 * @returns {AbortSignal | undefined}
 */
function signal(value) {
  const candidate = /** @type {AbortSignal | null | undefined} */ (value);
  if (candidate !== undefined && typeof candidate?.aborted !== "boolean") {
    throw typeError(`signal must be an AbortSignal, not ${describe(value)}`);
  }
  return candidate;
}

/**
 * Throws a signal's reason, if it has aborted.
 *
 * @param {AbortSignal | undefined} signal
 */
function unlessAborted(signal) {
  if (signal?.aborted) {
    throw signal.reason ?? localError(Status.CANCELLED, "the operation was cancelled by its signal");
  }
}

/**
 * @param {unknown} value
 * @param {string} parameter
 * @returns {boolean}
 */
function flag(value, parameter) {
  if (typeof value !== "boolean") {
    throw typeError(`${parameter} must be a boolean, not ${describe(value)}`);
  }
  return value;
}

/**
 * An object with named settings, of which all are known.
 *
 * @param {unknown} value
 * @param {readonly string[]} known
 * @returns {Record<string, unknown>}
 */
function settings(value, known) {
  if (value === undefined) {
    return {};
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw typeError(`options must be an object such as { ttl: 5000 }, not ${describe(value)}`);
  }
  for (const name of Object.keys(value)) {
    if (!known.includes(name)) {
      throw typeError(`there is no option ${JSON.stringify(name)} here; there are ${known.join(", ")}`);
    }
  }
  return /** @type {Record<string, unknown>} */ (value);
}

/**
 * The nodes' addresses: one or several, as strings or URL objects; none is the library's default.
 *
 * @param {unknown} value
 * @returns {string[]}
 */
function urls(value) {
  if (value === undefined) {
    return [];
  }
  const list = Array.isArray(value) ? value : [value];
  if (list.length === 0) {
    throw typeError("urls must name at least one node; leave it out for redis://127.0.0.1:6379/0");
  }
  return list.map((url, i) => text(typeof url?.href === "string" ? url.href : url, `urls[${i}]`));
}

module.exports = { describe, text, resource, resources, ttl, wait, signal, unlessAborted, flag, settings, urls };

"use strict";
// Credentials that a function of the application knows, which is asked when connections are made.

const { native } = require("./native.js");
const { describe, text } = require("./arguments.js");
const { typeError } = require("./errors.js");
const { check, err } = require("./results.js");

/** @typedef {() => Credentials | PromiseLike<Credentials>} Provider */
/** @typedef {{ username?: string, password: string }} Credentials */

/**
 * The provider among a factory's options, and the others.
 *
 * @param {unknown} options
 * @returns {{ provider?: Provider, others: unknown }}
 */
function split(options) {
  if (typeof options !== "object" || options === null || !("credentials" in options)) {
    return { others: options };
  }
  const { credentials, ...others } = options;
  if (credentials === undefined) {
    return { others };
  }
  if (typeof credentials !== "function") {
    throw typeError(`credentials must be a function, not ${describe(credentials)}`);
  }
  return { provider: /** @type {Provider} */ (credentials), others: { ...others, askCredentials: true } };
}

/** @type {WeakMap<Provider, number>} */
const numbers = new WeakMap();
let count = 0;

/**
 * Tells providers apart: factories with the same one share connections.
 *
 * @param {Provider | undefined} provider
 */
function number(provider) {
  if (provider === undefined) {
    return 0;
  }
  const known = numbers.get(provider) ?? ++count;
  numbers.set(provider, known);
  return known;
}

/**
 * Asks the provider, and tells the library; what goes wrong is told there too, for the nodes' errors.
 *
 * @param {bigint} factory it may be freed while the provider works; the library then knows it no more
 * @param {Provider} provider
 */
async function answer(factory, provider) {
  try {
    give(factory, await provider());
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    native.factory_refuse_credentials(factory, reason.replaceAll("\0", " "), null);
  }
}

/**
 * For connections from now on.
 *
 * @param {bigint} factory
 * @param {unknown} credentials
 */
function give(factory, credentials) {
  if (typeof credentials !== "object" || credentials === null || !("password" in credentials)) {
    // Not described: it may be the password itself.
    throw typeError("credentials must be an object with a password, and a username if need be");
  }
  const { username, password } = /** @type {Record<string, unknown>} */ (credentials);
  const user = username === undefined ? null : secret(username, "username");
  check(native.factory_set_credentials(factory, user, secret(password, "password"), err));
}

/**
 * A text whose value no message shows.
 *
 * @param {unknown} value
 * @param {string} parameter
 */
function secret(value, parameter) {
  if (typeof value !== "string") {
    throw typeError(`${parameter} must be a string, not ${typeof value}`);
  }
  return text(value, parameter);
}

module.exports = { split, number, answer, give };

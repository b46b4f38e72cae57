"use strict";
// Sets of nodes that are open in the library. Factories with the same URLs and options share one, and with it the connections,
// so that a program may make a factory for each request.

const { native } = require("./native.js");
const { elsewhere, check: checkStatus, err, out } = require("./results.js");
const { optionTexts, withOptions } = require("./options.js");
const queue = require("./queue.js");
const credentials = require("./credentials.js");

/**
 * @typedef {object} NodeSet
 * @property {string} key what its factories have in common
 * @property {bigint} handle the library's factory
 * @property {number} users how many factories share it
 * @property {number} [asks] the number by which it asks for credentials
 */

/** @type {Map<string, NodeSet>} */
const open = new Map();

/**
 * The set of these nodes with these options, and one user more of it.
 *
 * @param {string[]} urls
 * @param {unknown} options
 * @returns {NodeSet}
 */
function join(urls, options) {
  const { provider, others } = credentials.split(options);
  const texts = optionTexts(others);
  const key = JSON.stringify([urls, texts, credentials.number(provider)]);
  const set = open.get(key) ?? make(key, urls, texts, provider);
  open.set(key, set);
  set.users += 1;
  queue.addUser();
  return set;
}

/**
 * @param {string} key
 * @param {string[]} urls
 * @param {[string, string][]} texts
 * @param {import("./credentials.js").Provider | undefined} provider
 * @returns {NodeSet}
 */
function make(key, urls, texts, provider) {
  withOptions(texts, (options) => checkStatus(native.factory_new(urls, urls.length, options, out, err)));
  const handle = out[0];
  if (provider === undefined) {
    return { key, handle, users: 0 };
  }
  try {
    const asks = queue.current().askForCredentials(handle, () => credentials.answer(handle, provider));
    return { key, handle, users: 0, asks };
  } catch (error) {
    native.factory_free(handle);
    throw error;
  }
}

/**
 * One user less. The last one closes the set, which may wait for the nodes.
 *
 * @param {NodeSet} set
 * @returns {Promise<void>}
 */
async function leave(set) {
  set.users -= 1;
  if (set.users === 0) {
    open.delete(set.key);
    if (set.asks !== undefined) {
      queue.forget(set.asks);
    }
    await elsewhere(native.factory_free, set.handle);
  }
  queue.removeUser();
}

module.exports = { join, leave };

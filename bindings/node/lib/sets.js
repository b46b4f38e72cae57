"use strict";
// Sets of nodes that are open in the library. Factories with the same URLs and options share one, and with it the connections,
// so that a program may make a factory for each request.

const { native } = require("./native.js");
const { elsewhere, check: checkStatus, err, out } = require("./results.js");
const { optionTexts, withOptions } = require("./options.js");
const queue = require("./queue.js");

/**
 * @typedef {object} NodeSet
 * @property {string} key what its factories have in common
 * @property {bigint} handle the library's factory
 * @property {number} users how many factories share it
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
  const texts = optionTexts(options);
  const key = JSON.stringify([urls, texts]);
  const set = open.get(key) ?? { key, handle: make(urls, texts), users: 0 };
  open.set(key, set);
  set.users += 1;
  queue.addUser();
  return set;
}

/**
 * @param {string[]} urls
 * @param {[string, string][]} texts
 * @returns {bigint}
 */
function make(urls, texts) {
  withOptions(texts, (options) => checkStatus(native.factory_new(urls, urls.length, options, out, err)));
  return out[0];
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
    await elsewhere(native.factory_free, set.handle);
  }
  queue.removeUser();
}

module.exports = { join, leave };

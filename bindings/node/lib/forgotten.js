"use strict";
// Locks that were collected before they were released: nobody can release them any more.

const { native } = require("./native.js");
const { forget } = require("./queue.js");

/**
 * @typedef {object} Grip
 * @property {bigint} handle
 * @property {string} resource
 * @property {number} keptAs the number under which the lock is kept alive, or 0
 */

/** The longest time that a timer takes, in ms. */
const LONGEST_TIMER = 0x7fffffff;

/** @param {Grip} grip */
function letGo(grip) {
  if (grip.keptAs === 0) {
    freeWhenExpired(grip.handle);
    return;
  }
  forget(grip.keptAs);
  native.lock_free(grip.handle);
  process.emitWarning(
    `the lock on ${JSON.stringify(grip.resource)} was to be kept alive, but nothing refers to it any more; it is released`,
    "RedlockWarning",
  );
}

/**
 * Whoever took the lock may rely on its TTL. So it stays held, and its handle is freed when the validity has ended.
 *
 * @param {bigint} handle
 */
function freeWhenExpired(handle) {
  const left = Number(native.lock_validity_ms(handle));
  if (left === 0) {
    native.lock_free(handle);
  } else {
    setTimeout(freeWhenExpired, Math.min(left, LONGEST_TIMER), handle).unref();
  }
}

/** @type {FinalizationRegistry<Grip>} */
const forgotten = new FinalizationRegistry(letGo);

module.exports = { forgotten };

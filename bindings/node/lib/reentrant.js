"use strict";
// A re-entrant holder: one lock, taken once and counted.

const { localError, typeError } = require("./errors.js");
const { Status } = require("./status.js");
const check = require("./arguments.js");

/** @typedef {InstanceType<typeof import("./lock.js").Lock>} Lock */

/** Only this package makes holders. */
const KEY = Symbol("libredlock.reentrant");

class ReentrantLock {
  #resources;
  #take;
  #count = 0;
  /** @type {Lock | undefined} */
  #lock;
  /** The take or the release that is under way; the next one begins after it. @type {Promise<unknown>} */
  #turn = Promise.resolve();

  /**
   * @param {symbol} key
   * @param {readonly string[]} resources
   * @param {(signal?: AbortSignal) => Promise<Lock>} take
   */
  constructor(key, resources, take) {
    if (key !== KEY) {
      throw typeError("a ReentrantLock comes from factory.reentrant()");
    }
    this.#resources = Object.freeze([...resources]);
    this.#take = take;
  }

  get resources() {
    return this.#resources;
  }

  get count() {
    return this.#count;
  }

  get validity() {
    return this.#lock?.validity ?? 0;
  }

  get lock() {
    return this.#lock;
  }

  /** @param {{ signal?: AbortSignal }} [options] */
  async acquire(options) {
    const signal = check.signal(check.settings(options, ["signal"]).signal);
    return this.#inTurn(async () => {
      if (this.#count === 0) {
        this.#lock = await this.#take(signal);
      } else if (this.validity === 0) {
        throw localError(Status.EXPIRED, `the lock on ${this.#name()} is lost; release it before it is taken again`);
      }
      this.#count += 1;
      return this;
    }, signal);
  }

  async release() {
    return this.#inTurn(async () => {
      if (this.#count === 0 || this.#lock === undefined) {
        throw localError(Status.RELEASED, `the lock on ${this.#name()} is not held through this object`);
      }
      this.#count -= 1;
      if (this.#count === 0) {
        const lock = this.#lock;
        this.#lock = undefined;
        await lock[Symbol.asyncDispose]();
      }
    });
  }

  async [Symbol.asyncDispose]() {
    if (this.#count > 0) {
      await this.release();
    }
  }

  /**
   * One take or release after the other. A signal ends the waiting for the turn; the step itself looks at it on its own.
   *
   * @template T
   * @param {() => Promise<T>} step
   * @param {AbortSignal} [signal]
   * @returns {Promise<T>}
   */
  #inTurn(step, signal) {
    const turn = this.#turn;
    const done = turnOrAbort(turn, signal).then(step);
    this.#turn = Promise.allSettled([turn, done]);
    return done;
  }

  #name() {
    return JSON.stringify(this.#resources[0]);
  }
}

/**
 * @param {Promise<unknown>} promise
 * @param {AbortSignal | undefined} signal
 */
async function turnOrAbort(promise, signal) {
  if (signal === undefined) {
    await promise;
    return;
  }
  check.unlessAborted(signal);
  let stop = () => {};
  const aborted = new Promise((resolve) => {
    stop = () => resolve(undefined);
    signal.addEventListener("abort", stop);
  });
  await Promise.race([promise, aborted]);
  signal.removeEventListener("abort", stop);
  check.unlessAborted(signal);
}

/**
 * @param {readonly string[]} resources
 * @param {(signal?: AbortSignal) => Promise<Lock>} take
 */
function makeReentrant(resources, take) {
  return new ReentrantLock(KEY, resources, take);
}

module.exports = { ReentrantLock, makeReentrant };

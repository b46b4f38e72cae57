"use strict";
// A re-entrant holder: one lock, taken once and counted.

const { localError } = require("./errors.js");
const { Status } = require("./status.js");

/** @typedef {InstanceType<typeof import("./lock.js").Lock>} Lock */

class ReentrantLock {
  #resources;
  #take;
  #count = 0;
  /** @type {Lock | undefined} */
  #lock;
  /** The take or the release that is under way; the next one begins after it. @type {Promise<unknown>} */
  #turn = Promise.resolve();

  /**
   * @param {readonly string[]} resources
   * @param {(signal: AbortSignal | undefined) => Promise<Lock>} take
   */
  constructor(resources, take) {
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
  acquire({ signal } = {}) {
    return this.#inTurn(async () => {
      if (this.#count === 0) {
        this.#lock = await this.#take(signal);
      } else if (this.validity === 0) {
        throw localError(Status.EXPIRED, `the lock on ${this.#name()} is lost; release it before it is taken again`);
      }
      this.#count += 1;
      return this;
    });
  }

  release() {
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
   * One take or release after the other.
   *
   * @template T
   * @param {() => Promise<T>} step
   * @returns {Promise<T>}
   */
  #inTurn(step) {
    const done = this.#turn.then(step);
    this.#turn = done.catch(() => {});
    return done;
  }

  #name() {
    return JSON.stringify(this.#resources[0]);
  }
}

module.exports = { ReentrantLock };

"use strict";
// A lock that is held.

const { native } = require("./native.js");
const { current } = require("./queue.js");
const { err } = require("./results.js");
const { localError, toError, typeError } = require("./errors.js");
const { Status } = require("./status.js");
const check = require("./arguments.js");

/** Only this package makes locks. */
const KEY = Symbol("libredlock.lock");

/** The longest time that a timer takes, in ms. */
const LONGEST_TIMER = 0x7fffffff;

class Lock {
  #handle;
  #resources;
  #token;
  #released = false;
  /** @type {AbortController | undefined} */
  #controller;
  /** @type {NodeJS.Timeout | undefined} */
  #timer;

  /**
   * @param {symbol} key
   * @param {bigint} handle
   * @param {readonly string[]} resources
   */
  constructor(key, handle, resources) {
    if (key !== KEY) {
      throw typeError("a Lock comes from factory.acquire()");
    }
    this.#handle = handle;
    this.#resources = Object.freeze([...resources]);
    this.#token = native.lock_token(handle);
    forgotten.register(this, handle, this);
  }

  get resource() {
    return this.#resources[0];
  }

  get resources() {
    return this.#resources;
  }

  get token() {
    return this.#token;
  }

  get validity() {
    return this.#released ? 0 : Number(native.lock_validity_ms(this.#handle));
  }

  get released() {
    return this.#released;
  }

  get signal() {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      this.#watchValidity();
    }
    return this.#controller.signal;
  }

  /** @param {number} ttl */
  async extend(ttl) {
    const milliseconds = check.ttl(ttl);
    this.#mustBeHeld();
    const queue = current();
    const { failure } = await queue.run(queue.nextId(), (handle, id) =>
      native.submit_extend(this.#handle, milliseconds, handle, id, err),
    );
    if (failure !== null) {
      throw toError(failure);
    }
    this.#watchValidity();
  }

  async release() {
    this.#mustBeHeld();
    const queue = current();
    const ended = queue.run(queue.nextId(), (handle, id) => native.submit_release(this.#handle, handle, id, err));
    this.#forget();
    const { failure } = await ended;
    if (failure !== null) {
      throw toError(failure);
    }
  }

  async [Symbol.asyncDispose]() {
    if (!this.#released) {
      await this.release();
    }
  }

  #mustBeHeld() {
    if (this.#released) {
      throw localError(Status.RELEASED, `the lock on ${JSON.stringify(this.resource)} was already released`);
    }
  }

  /** The release is on its way: the handle is not needed any more, and the library lets it go at once. */
  #forget() {
    this.#released = true;
    clearTimeout(this.#timer);
    forgotten.unregister(this);
    native.lock_free(this.#handle);
  }

  /** Has the signal abort when the validity ends, if somebody has asked for it. */
  #watchValidity() {
    clearTimeout(this.#timer);
    if (this.#controller === undefined || this.#released || this.#controller.signal.aborted) {
      return;
    }
    const left = this.validity;
    if (left === 0) {
      const message = `the lock on ${JSON.stringify(this.resource)} is lost: its validity has ended`;
      this.#controller.abort(localError(Status.EXPIRED, message));
      return;
    }
    this.#timer = setTimeout(() => this.#watchValidity(), Math.min(left, LONGEST_TIMER));
    this.#timer.unref();
  }
}

/**
 * Locks that nobody can release any more. They stay held until their validity ends, as whoever took them might rely on,
 * and then their handles are freed.
 *
 * @type {FinalizationRegistry<bigint>}
 */
const forgotten = new FinalizationRegistry(freeWhenExpired);

/** @param {bigint} handle */
function freeWhenExpired(handle) {
  const left = Number(native.lock_validity_ms(handle));
  if (left === 0) {
    native.lock_free(handle);
  } else {
    setTimeout(freeWhenExpired, Math.min(left, LONGEST_TIMER), handle).unref();
  }
}

/**
 * @param {bigint} handle
 * @param {readonly string[]} resources
 */
function makeLock(handle, resources) {
  return new Lock(KEY, handle, resources);
}

module.exports = { Lock, makeLock };

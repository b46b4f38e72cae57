"use strict";
// A lock that is held.

const { native } = require("./native.js");
const { current, forget } = require("./queue.js");
const { err } = require("./results.js");
const { localError, toError, typeError } = require("./errors.js");
const { Status } = require("./status.js");
const { forgotten } = require("./forgotten.js");
const check = require("./arguments.js");

/** Only this package makes locks. */
const KEY = Symbol("libredlock.lock");

/** The longest time that a timer takes, in ms. */
const LONGEST_TIMER = 0x7fffffff;

/**
 * Kept locks to whose loss somebody may listen: they must not be collected, even when nothing else refers to them.
 *
 * @type {Set<Lock>}
 */
const listened = new Set();

class Lock {
  /** What is left to do when this object is collected. @type {import("./forgotten.js").Grip} */
  #grip;
  /** Collecting the factory would close it, and so end the keeping. */
  #factory;
  #resources;
  #fences;
  #token;
  #released = false;
  /** @type {Error | undefined} */
  #loss;
  /** @type {AbortController | undefined} */
  #controller;
  /** @type {NodeJS.Timeout | undefined} */
  #timer;

  /**
   * @param {symbol} key
   * @param {bigint} handle
   * @param {readonly string[]} resources
   * @param {number} fence
   * @param {object} factory
   */
  constructor(key, handle, resources, fence, factory) {
    if (key !== KEY) {
      throw typeError("a Lock comes from factory.acquire()");
    }
    this.#grip = { handle, resource: resources[0], keptAs: 0 };
    this.#factory = factory;
    this.#resources = Object.freeze([...resources]);
    const others = resources.slice(1).map((_, i) => Number(native.lock_fence_at(handle, i + 1)));
    this.#fences = Object.freeze([fence, ...others]);
    this.#token = native.lock_token(handle);
    forgotten.register(this, this.#grip, this);
  }

  get factory() {
    return this.#factory;
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

  get fence() {
    return this.#fences[0];
  }

  get fences() {
    return this.#fences;
  }

  get validity() {
    return this.#released ? 0 : Number(native.lock_validity_ms(this.#grip.handle));
  }

  get released() {
    return this.#released;
  }

  get signal() {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      this.#watchLoss();
    }
    return this.#controller.signal;
  }

  /** @param {number} ttl */
  async extend(ttl) {
    const milliseconds = check.ttl(ttl);
    this.#mustBeHeld();
    const queue = current();
    const { failure } = await queue.run(queue.nextId(), (handle, id) =>
      native.submit_extend(this.#grip.handle, milliseconds, handle, id, err),
    );
    if (failure !== null) {
      throw toError(failure);
    }
    if (!this.#released && this.#grip.keptAs !== 0) {
      // From now on with the new TTL.
      this.keepAlive();
    }
    this.#watchLoss();
    return this;
  }

  keepAlive() {
    this.#mustBeHeld();
    const queue = current();
    const id = this.#grip.keptAs || queue.nextId();
    const self = new WeakRef(this);
    queue.keepAlive(this.#grip.handle, id, (failure) => {
      const lock = self.deref();
      if (lock !== undefined) {
        lock.#lose(toError(failure));
      }
    });
    this.#grip.keptAs = id;
    this.#watchLoss();
  }

  async release() {
    this.#mustBeHeld();
    const queue = current();
    const ended = queue.run(queue.nextId(), (handle, id) => native.submit_release(this.#grip.handle, handle, id, err));
    // The release is on its way: the handle is not needed any more, and the library lets it go at once.
    this.#letGo(native.lock_free);
    const { failure } = await ended;
    if (failure !== null) {
      throw toError(failure);
    }
  }

  detach() {
    if (!this.#released) {
      this.#letGo(native.lock_detach);
    }
  }

  async [Symbol.asyncDispose]() {
    if (!this.#released) {
      await this.release();
    }
  }

  #mustBeHeld() {
    if (this.#released) {
      throw localError(
        Status.RELEASED,
        `the lock on ${JSON.stringify(this.resource)} was already released or detached`,
      );
    }
  }

  /** This object stands for no lock any more. @param {(handle: bigint) => void} free what becomes of the handle */
  #letGo(free) {
    this.#released = true;
    this.#stopWatching();
    forgotten.unregister(this);
    free(this.#grip.handle);
  }

  #stopWatching() {
    clearTimeout(this.#timer);
    listened.delete(this);
    forget(this.#grip.keptAs);
    this.#grip.keptAs = 0;
  }

  /** The lock cannot be kept any longer, or its validity has ended. @param {Error} reason */
  #lose(reason) {
    this.#stopWatching();
    this.#loss ??= reason;
    this.#controller?.abort(this.#loss);
  }

  /** Has the signal abort in time, if somebody has asked for it. */
  #watchLoss() {
    clearTimeout(this.#timer);
    if (this.#controller === undefined || this.#released || this.#controller.signal.aborted) {
      return;
    }
    const left = this.validity;
    if (this.#loss !== undefined || left === 0) {
      this.#lose(localError(Status.EXPIRED, `the lock on ${JSON.stringify(this.resource)} is lost: it has expired`));
      return;
    }
    if (this.#grip.keptAs !== 0) {
      listened.add(this);
    }
    // A kept lock's validity ends too, when its factory is closed.
    this.#timer = setTimeout(() => this.#watchLoss(), Math.min(left, LONGEST_TIMER));
    this.#timer.unref();
  }
}

/**
 * @param {bigint} handle
 * @param {readonly string[]} resources
 * @param {number} fence
 * @param {object} factory
 */
function makeLock(handle, resources, fence, factory) {
  return new Lock(KEY, handle, resources, fence, factory);
}

module.exports = { Lock, makeLock };

"use strict";
// A set of nodes from which locks are taken.

const { native } = require("./native.js");
const { current } = require("./queue.js");
const { elsewhere, err, takeFailure, takeString } = require("./results.js");
const { ContendedError, localError, toError, typeError } = require("./errors.js");
const { Status } = require("./status.js");
const sets = require("./sets.js");
const { makeLock } = require("./lock.js");
const { makeReentrant } = require("./reentrant.js");
const check = require("./arguments.js");
const credentials = require("./credentials.js");

/** @typedef {ReturnType<typeof makeLock>} Lock */

const DEFAULT_TTL = 10_000;

class Factory {
  /** The nodes, which other factories may share. */
  #set;
  /** The operations that can be cancelled: by what number, and on which queue. @type {Set<() => void>} */
  #underWay = new Set();
  /** @type {Promise<void> | undefined} */
  #closed;

  /**
   * @param {string | URL | readonly (string | URL)[]} [urls]
   * @param {object} [options]
   */
  constructor(urls, options = {}) {
    this.#set = sets.join(check.urls(urls), options);
    forgotten.register(this, this.#set, this);
  }

  /**
   * @param {string | readonly string[]} resource
   * @param {object} [options]
   */
  async acquire(resource, options) {
    return this.#acquire(check.resources(resource), acquireOptions(options));
  }

  /**
   * @param {string | readonly string[]} resource
   * @param {object} [options]
   */
  async tryAcquire(resource, options) {
    const settings = { ...acquireOptions(check.settings(options, TRY)), wait: 0 };
    try {
      return await this.#acquire(check.resources(resource), settings);
    } catch (error) {
      if (error instanceof ContendedError) {
        return null;
      }
      throw error;
    }
  }

  /**
   * @param {string | readonly string[]} resource
   * @param {unknown} optionsOrWork
   * @param {unknown} [maybeWork]
   */
  async using(resource, optionsOrWork, maybeWork) {
    const [options, work] = typeof optionsOrWork === "function" ? [{}, optionsOrWork] : [optionsOrWork, maybeWork];
    const settings = acquireOptions(options, true);
    if (typeof work !== "function") {
      throw typeError(`work must be a function, not ${check.describe(work)}`);
    }
    const lock = await this.#acquire(check.resources(resource), settings);
    let result;
    try {
      result = await work(lock);
    } catch (error) {
      // The work's own error is the one to tell; what the release says of a lost lock would hide it.
      await lock[Symbol.asyncDispose]().catch(() => {});
      throw error;
    }
    await lock[Symbol.asyncDispose]();
    return result;
  }

  /**
   * @param {string | readonly string[]} resource
   * @param {object} [options]
   */
  reentrant(resource, options) {
    const names = check.resources(resource);
    const settings = acquireOptions(options);
    return makeReentrant(names, (signal = settings.signal) => this.#acquire(names, { ...settings, signal }));
  }

  /**
   * @param {string} resource
   * @param {object} [options]
   */
  async isLocked(resource, options) {
    const name = check.resource(resource);
    const signal = check.signal(check.settings(options, ASK).signal);
    const { value } = await this.#run(signal, (queue, id) =>
      native.submit_is_locked(this.#set.handle, name, queue, id, err),
    );
    return value === 1;
  }

  async check() {
    this.#mustBeOpen();
    const [report, failure] = [new BigUint64Array(1), new BigUint64Array(1)];
    const status = await elsewhere(native.factory_check, this.#set.handle, report, failure);
    if (status !== 0) {
      throw toError(takeFailure(failure[0]));
    }
    return takeString(report[0]).trimEnd().split("\n");
  }

  async trustNodes() {
    this.#mustBeOpen();
    const failure = new BigUint64Array(1);
    if ((await elsewhere(native.factory_trust_nodes, this.#set.handle, failure)) !== 0) {
      throw toError(takeFailure(failure[0]));
    }
  }

  /** @param {unknown} given */
  setCredentials(given) {
    this.#mustBeOpen();
    credentials.give(this.#set.handle, given);
  }

  close() {
    if (this.#closed === undefined) {
      forgotten.unregister(this);
      this.#closed = sets.leave(this.#set);
      for (const cancel of this.#underWay) {
        cancel();
      }
    }
    return this.#closed;
  }

  [Symbol.asyncDispose]() {
    return this.close();
  }

  /**
   * @param {string[]} names
   * @param {AcquireSettings} settings
   */
  async #acquire(names, { ttl, wait, signal, keepAlive }) {
    const ended = await this.#run(signal, (queue, id) =>
      names.length === 1
        ? native.submit_acquire(this.#set.handle, names[0], ttl, wait, queue, id, err)
        : native.submit_acquire_many(this.#set.handle, names, names.length, ttl, wait, queue, id, err),
    );
    const lock = makeLock(ended.lock, names, ended.fence, this);
    if (keepAlive) {
      await keepOrRelease(lock);
    }
    return lock;
  }

  /**
   * Runs an operation that a signal can cancel.
   *
   * @param {AbortSignal | undefined} signal
   * @param {(queue: bigint, id: number) => number} begin
   */
  async #run(signal, begin) {
    this.#mustBeOpen();
    check.unlessAborted(signal);
    const queue = current();
    const id = queue.nextId();
    const ending = queue.run(id, begin);
    const cancel = () => queue.cancel(id);
    signal?.addEventListener("abort", cancel);
    this.#underWay.add(cancel);
    const ended = await ending;
    this.#underWay.delete(cancel);
    signal?.removeEventListener("abort", cancel);
    if (signal?.aborted) {
      // It may have aborted just after the lock was won; freeing gives that back.
      native.lock_free(ended.lock);
      check.unlessAborted(signal);
    }
    if (ended.failure?.status === Status.CANCELLED) {
      // By close(), since there was no signal.
      this.#mustBeOpen();
    }
    if (ended.failure !== null) {
      throw toError(ended.failure);
    }
    return ended;
  }

  #mustBeOpen() {
    if (this.#closed !== undefined) {
      throw localError(Status.CLOSED, "the factory is closed");
    }
  }
}

/**
 * @typedef {object} AcquireSettings
 * @property {number} ttl
 * @property {number} wait
 * @property {AbortSignal | undefined} signal
 * @property {boolean} keepAlive
 */

/**
 * @param {unknown} options
 * @param {boolean} [keptByDefault]
 * @returns {AcquireSettings}
 */
function acquireOptions(options, keptByDefault = false) {
  const settings = check.settings(options, ACQUIRE);
  const { ttl = DEFAULT_TTL, wait = Number.POSITIVE_INFINITY, signal, keepAlive = keptByDefault } = settings;
  return {
    ttl: check.ttl(ttl),
    wait: check.wait(wait),
    signal: check.signal(signal),
    keepAlive: check.flag(keepAlive, "keepAlive"),
  };
}

/**
 * Keeps a lock alive that was just taken. One that cannot be kept is not given to anybody.
 *
 * @param {Lock} lock
 */
async function keepOrRelease(lock) {
  try {
    lock.keepAlive();
  } catch (error) {
    await lock.release().catch(() => {});
    throw error;
  }
}

const ACQUIRE = ["ttl", "wait", "keepAlive", "signal"];
const TRY = ["ttl", "keepAlive", "signal"];
const ASK = ["signal"];

/**
 * Factories that nobody can use any more.
 *
 * @type {FinalizationRegistry<import("./sets.js").NodeSet>}
 */
const forgotten = new FinalizationRegistry((set) => {
  sets.leave(set).catch(() => {});
});

module.exports = { Factory };

"use strict";
// The completion queue of this thread: starts operations in the library and resolves their promises when they end.
//
// There is one for each JavaScript thread, made when it is first needed, and closed when no factory is open and nothing is under
// way. Starting and ending operations are short calls;
// the waiting in between is done by the library, and by libuv for the queue's descriptor.

const os = require("node:os");
const { native } = require("./native.js");
const { watch } = require("./descriptor.js");
const { check, err, out, takeFailure } = require("./results.js");

/**
 * How an operation ended. A lock belongs to whoever awaits it.
 *
 * @typedef {object} Ended
 * @property {import("./errors.js").Failure | null} failure
 * @property {bigint} lock
 * @property {number} value
 * @property {number} fence
 */

/** Events that are taken with one call. */
const BATCH = 64;

/** The layout of redlock_event, counted in words of 64 and of 32 bits. */
const WORDS64 = 12;
const WORDS32 = 2 * WORDS64;
const AT64 = { lock: 2, error: 3 };
const AT32 = { id: 0, status: 2, kind: 3, value: 10, fence: 12 };

/** The kinds of events that tell of a lost lock, and ask for credentials; all others end an operation. */
const LOST = 5;
const CREDENTIALS = 6;

/** Where the lower and the upper half of a 64-bit number are. */
const [LOW, HIGH] = os.endianness() === "LE" ? [0, 1] : [1, 0];

class Queue {
  #handle;
  #socket;
  #events = new Uint8Array(BATCH * WORDS64 * 8);
  #words32 = new Uint32Array(this.#events.buffer);
  #words64 = new BigUint64Array(this.#events.buffer);
  #count = new BigUint64Array(1);
  #lastId = 0;
  /** @type {Map<number, (ended: Ended) => void>} */
  #underWay = new Map();
  /** What is to be called when a kept lock is lost. @type {Map<number, (failure: import("./errors.js").Failure) => void>} */
  #losses = new Map();

  /** What is to be called when a factory asks for credentials. @type {Map<number, () => void>} */
  #askers = new Map();

  constructor() {
    check(native.queue_new(out, err));
    this.#handle = out[0];
    try {
      this.#socket = watch(native.queue_fd(this.#handle), () => this.#drain());
    } catch (error) {
      native.queue_free(this.#handle);
      throw error;
    }
  }

  /** A number for the next operation. */
  nextId() {
    this.#lastId += 1;
    return this.#lastId;
  }

  /**
   * Waits for the end of the operation that `begin` has the library start. Until then the process stays alive.
   *
   * @param {number} id
   * @param {(queue: bigint, id: number) => number} begin
   * @returns {Promise<Ended>}
   */
  run(id, begin) {
    check(begin(this.#handle, id));
    if (this.#underWay.size === 0) {
      this.#socket.ref();
    }
    return new Promise((resolve) => {
      this.#underWay.set(id, resolve);
    });
  }

  /**
   * Cancels an operation; its promise is resolved soon. One that has ended already is left as it is.
   *
   * @param {number} id
   */
  cancel(id) {
    native.cancel(this.#handle, id, null);
  }

  /**
   * Has the library keep a lock alive, until it is lost or `forget` is called.
   *
   * @param {bigint} lock
   * @param {number} id
   * @param {(failure: import("./errors.js").Failure) => void} lost
   */
  keepAlive(lock, id, lost) {
    check(native.lock_keep_alive(lock, this.#handle, id, err));
    this.#losses.set(id, lost);
  }

  /**
   * Has a factory ask for credentials, until `forget` is called.
   *
   * @param {bigint} factory
   * @param {() => void} ask
   * @returns {number} the number to forget it by
   */
  askForCredentials(factory, ask) {
    const id = this.nextId();
    check(native.factory_ask_for_credentials(factory, this.#handle, id, err));
    this.#askers.set(id, ask);
    return id;
  }

  /** @param {number} id */
  forget(id) {
    this.#losses.delete(id);
    this.#askers.delete(id);
    this.closeIfIdle();
  }

  /** Nobody needs it for now; whoever does next makes another one. */
  closeIfIdle() {
    if (
      users === 0 &&
      this.#underWay.size === 0 &&
      this.#losses.size === 0 &&
      this.#askers.size === 0 &&
      queue === this
    ) {
      queue = undefined;
      this.#socket.destroy();
      native.queue_free(this.#handle);
    }
  }

  /** Takes all events there are: a new one wakes us only when there were none. */
  #drain() {
    let count;
    do {
      check(native.queue_next(this.#handle, this.#events, BATCH, 0, this.#count, err));
      count = Number(this.#count[0]);
      for (let i = 0; i < count; i++) {
        this.#take(i);
      }
    } while (count === BATCH);
    if (this.#underWay.size === 0) {
      this.#socket.unref();
      this.closeIfIdle();
    }
  }

  /** @param {number} i */
  #take(i) {
    const [at32, at64] = [i * WORDS32, i * WORDS64];
    const id = this.#number(at32 + AT32.id);
    const failed = this.#words32[at32 + AT32.status] !== 0;
    const failure = failed ? takeFailure(this.#words64[at64 + AT64.error]) : null;
    switch (this.#words32[at32 + AT32.kind]) {
      case LOST:
        this.#lose(id, failure);
        return;
      case CREDENTIALS:
        this.#askers.get(id)?.();
        return;
    }
    const resolve = this.#underWay.get(id);
    this.#underWay.delete(id);
    resolve?.({
      failure,
      lock: this.#words64[at64 + AT64.lock],
      value: this.#number(at32 + AT32.value),
      fence: this.#number(at32 + AT32.fence),
    });
  }

  /**
   * @param {number} id
   * @param {import("./errors.js").Failure | null} failure
   */
  #lose(id, failure) {
    const lost = this.#losses.get(id);
    this.#losses.delete(id);
    if (lost !== undefined && failure !== null) {
      // Whoever listens to the loss may call anything; not in the middle of these events.
      queueMicrotask(() => lost(failure));
    }
  }

  /**
   * A number below 2^53.
   *
   * @param {number} at
   */
  #number(at) {
    return this.#words32[at + HIGH] * 2 ** 32 + this.#words32[at + LOW];
  }
}

/** @type {Queue | undefined} */
let queue;

/** How many factories are open in this thread. */
let users = 0;

/** The queue of this thread. */
function current() {
  queue ??= new Queue();
  return queue;
}

/**
 * The lock with that number is not kept alive any more.
 *
 * @param {number} id
 */
function forget(id) {
  queue?.forget(id);
}

/** A factory was opened. */
function addUser() {
  users += 1;
}

/** A factory was closed. */
function removeUser() {
  users -= 1;
  queue?.closeIfIdle();
}

module.exports = { current, forget, addUser, removeUser };

"use strict";
// Waiting for a queue's descriptor in the event loop: a socket that reads it, or a thread that polls it.

const net = require("node:net");
const os = require("node:os");
const { koffi } = require("./koffi.js");
const { localError } = require("./errors.js");
const { Status } = require("./status.js");

/** fcntl's command that duplicates a descriptor and keeps it from child processes. */
const F_DUPFD_CLOEXEC = { linux: 1030, android: 1030, darwin: 67, freebsd: 17, openbsd: 10 };

/** @param {number} fd */
function duplicate(fd) {
  const command = /** @type {Record<string, number>} */ (F_DUPFD_CLOEXEC)[process.platform];
  const fcntl = koffi.load(null).func("int fcntl(int fd, int command, ...)");
  const copy = command === undefined ? -1 : fcntl(fd, command, "int", 0);
  if (copy < 0) {
    throw localError(Status.SYSTEM, `the completion queue's descriptor cannot be duplicated (errno ${koffi.errno()})`);
  }
  return copy;
}

/**
 * What wakes an event loop; it keeps the process alive only after `ref()`.
 *
 * @typedef {{ ref(): unknown, unref(): unknown, destroy(): unknown }} Watch
 */

/**
 * Calls `readable` whenever the pipe `fd` had something to read, which is read and thrown away. The socket that does so
 * does not keep the process alive until `ref()` is called. It owns a duplicate, which goes with the thread it was made in.
 *
 * @param {number} fd
 * @param {() => void} readable
 * @returns {Watch}
 */
function watchBySocket(fd, readable) {
  const onread = {
    buffer: new Uint8Array(64),
    callback() {
      readable();
      return true;
    },
  };
  const options = { fd: duplicate(fd), readable: true, writable: false, onread };
  return new net.Socket(/** @type {net.SocketConstructorOpts} */ (options)).unref();
}

/** So long one call of poll(2) waits at most, and so late is heard what nobody waits for, in ms. */
const POLL_MS = 100;

const POLLIN = 1;

/**
 * For runtimes whose sockets do not take a descriptor (Bun): while operations are under way, a thread waits for it.
 *
 * @param {number} fd
 * @param {() => void} readable
 * @returns {Watch}
 */
function watchByPolling(fd, readable) {
  const poll = koffi.load(null).func("int poll(void *fds, unsigned long count, int timeout)");
  // struct pollfd: the descriptor, and 16 bits each for the events that are wanted and found.
  const wanted = new Int32Array([fd, os.endianness() === "LE" ? POLLIN : POLLIN << 16]);
  let [isWanted, isPolling, isOver] = [false, false, false];
  const look = () => {
    if (!isWanted || isPolling || isOver) return;
    isPolling = true;
    poll.async(wanted, 1, POLL_MS, () => {
      isPolling = false;
      if (!isOver) readable();
      look();
    });
  };
  // The loss of a kept lock is heard also while no operation is under way.
  const timer = setInterval(readable, POLL_MS);
  timer.unref();
  return {
    ref() {
      isWanted = true;
      look();
    },
    unref() {
      isWanted = false;
    },
    destroy() {
      isOver = true;
      clearInterval(timer);
    },
  };
}

const watch = "bun" in process.versions ? watchByPolling : watchBySocket;

module.exports = { watch };

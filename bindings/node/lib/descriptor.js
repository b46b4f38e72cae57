"use strict";
// Waiting for a queue's descriptor in Node's event loop: a socket that reads it.

const net = require("node:net");
const koffi = require("koffi");
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
 * Calls `readable` whenever the pipe `fd` had something to read, which is read and thrown away. The socket that does so
 * does not keep the process alive until `ref()` is called. It owns a duplicate, which goes with the thread it was made in.
 *
 * @param {number} fd
 * @param {() => void} readable
 * @returns {net.Socket}
 */
function watch(fd, readable) {
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

module.exports = { watch };

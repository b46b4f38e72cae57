"use strict";
// The errors of this package: one class for each way in which an operation can fail.

const { Status, statusName } = require("./status.js");

/**
 * What the library says about a failure, as plain data.
 *
 * @typedef {object} Failure
 * @property {number} status
 * @property {string} message
 * @property {NodeOutcome[]} nodes
 */

/**
 * @typedef {object} NodeOutcome
 * @property {string} address
 * @property {string} code
 * @property {number} status
 * @property {string} message
 */

class RedlockError extends Error {
  /** @param {Failure} failure */
  constructor({ status, message, nodes }) {
    super(message);
    this.status = status;
    this.code = statusName(status);
    this.nodes = nodes;
  }

  get name() {
    return this.constructor.name;
  }
}

class ContendedError extends RedlockError {}
class NoQuorumError extends RedlockError {}
class ExpiredError extends RedlockError {}
class CancelledError extends RedlockError {}
class ReleasedError extends RedlockError {}
class ClosedError extends RedlockError {}
class SystemError extends RedlockError {}
class InternalError extends RedlockError {}

/** @type {Map<number, typeof RedlockError>} */
const classes = new Map([
  [Status.CONTENDED, ContendedError],
  [Status.NO_QUORUM, NoQuorumError],
  [Status.EXPIRED, ExpiredError],
  [Status.CANCELLED, CancelledError],
  [Status.RELEASED, ReleasedError],
  [Status.CLOSED, ClosedError],
  [Status.SYSTEM, SystemError],
  [Status.INTERNAL, InternalError],
]);

const INVALID = statusName(Status.INVALID_ARGUMENT);

/**
 * An argument of the wrong type, or a value that makes no sense.
 *
 * @param {string} message
 */
function typeError(message) {
  return Object.assign(new TypeError(message), { code: INVALID });
}

/**
 * A number that is out of its range.
 *
 * @param {string} message
 */
function rangeError(message) {
  return Object.assign(new RangeError(message), { code: INVALID });
}

/**
 * The error that JavaScript sees for a failure in the library. Bad input is a TypeError, as everywhere in JavaScript.
 *
 * @param {Failure} failure
 * @returns {Error}
 */
function toError(failure) {
  if (failure.status === Status.INVALID_ARGUMENT) {
    return typeError(failure.message);
  }
  const Class = classes.get(failure.status) ?? RedlockError;
  return new Class(failure);
}

/**
 * A failure that is known on this side already.
 *
 * @param {number} status
 * @param {string} message
 */
function localError(status, message) {
  return toError({ status, message, nodes: [] });
}

module.exports = {
  RedlockError,
  ContendedError,
  NoQuorumError,
  ExpiredError,
  CancelledError,
  ReleasedError,
  ClosedError,
  SystemError,
  InternalError,
  typeError,
  rangeError,
  toError,
  localError,
};

"use strict";
// The statuses of include/redlock.h, by number and by name.

/** Every status that the library can give. */
const Status = Object.freeze({
  OK: 0,
  CONTENDED: 1,
  NO_QUORUM: 2,
  EXPIRED: 3,
  CANCELLED: 4,
  RELEASED: 5,
  INVALID_ARGUMENT: 6,
  FORKED: 7,
  CLOSED: 8,
  SYSTEM: 9,
  INTERNAL: 10,
  TIMEOUT: 20,
  UNREACHABLE: 21,
  SERVER: 22,
  NOT_ADMITTED: 23,
  UNANSWERED: 24,
});

/** @type {Map<number, string>} */
const names = new Map();
for (const [name, status] of Object.entries(Status)) {
  names.set(status, status === Status.OK ? "REDLOCK_OK" : `REDLOCK_ERR_${name}`);
}

/**
 * The name that the C header gives a status; a later library may know more of them.
 *
 * @param {number} status
 */
function statusName(status) {
  return names.get(status) ?? "REDLOCK_ERR_UNKNOWN";
}

module.exports = { Status, statusName };

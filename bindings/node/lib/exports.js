"use strict";
// All that the package exports.

require("./dispose.js");
const { versions } = require("./native.js");
const { Factory } = require("./factory.js");
const { Lock } = require("./lock.js");
const { ReentrantLock } = require("./reentrant.js");
const { Status } = require("./status.js");
const { optionTable } = require("./options.js");
const errors = require("./errors.js");

module.exports = {
  Factory,
  Lock,
  ReentrantLock,
  Status,
  RedlockError: errors.RedlockError,
  ContendedError: errors.ContendedError,
  NoQuorumError: errors.NoQuorumError,
  ExpiredError: errors.ExpiredError,
  CancelledError: errors.CancelledError,
  ReleasedError: errors.ReleasedError,
  ClosedError: errors.ClosedError,
  SystemError: errors.SystemError,
  InternalError: errors.InternalError,
  optionTable,
  versions,
};

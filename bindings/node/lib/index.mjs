// The package's face for ES modules: the same classes that require() gives.

import redlock from "./index.js";

export const {
  Factory,
  Lock,
  ReentrantLock,
  Status,
  RedlockError,
  ContendedError,
  NoQuorumError,
  ExpiredError,
  CancelledError,
  ReleasedError,
  ClosedError,
  SystemError,
  InternalError,
  optionTable,
  versions,
} = redlock;
export default redlock;

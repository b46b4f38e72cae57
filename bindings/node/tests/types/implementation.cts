// The declared types against what tsc finds in the implementation: a member that one of them lacks does not compile.

import type declared = require("libredlock");
import type factory = require("../../lib/factory.js");
import type lock = require("../../lib/lock.js");
import type reentrant = require("../../lib/reentrant.js");
import type errors = require("../../lib/errors.js");

type Same<A, B> = keyof A extends keyof B ? (keyof B extends keyof A ? true : false) : false;

const checks: [
  Same<declared.Factory, InstanceType<typeof factory.Factory>>,
  Same<declared.Lock, InstanceType<typeof lock.Lock>>,
  Same<declared.ReentrantLock, InstanceType<typeof reentrant.ReentrantLock>>,
  Same<declared.RedlockError, InstanceType<typeof errors.RedlockError>>,
] = [true, true, true, true];

export = checks;

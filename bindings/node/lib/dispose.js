"use strict";
// Symbol.asyncDispose, which `await using` looks for, where Node does not have it yet (before 18.18).

if (Symbol.asyncDispose === undefined) {
  Object.defineProperty(Symbol, "asyncDispose", { value: Symbol("Symbol.asyncDispose") });
}

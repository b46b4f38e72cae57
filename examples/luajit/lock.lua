-- Takes a lock, shows that nobody else gets it, and gives it back.
--
--   luajit lock.lua [URL...]     without any: redis://127.0.0.1:6379/0
local ffi = require "ffi"

-- The header without a preprocessor's language, which LuaJIT does not know.
local include = io.popen("pkg-config --variable=includedir redlock"):read("*l")
ffi.cdef(assert(io.open(include .. "/redlock.ffi.h")):read("*a"))
local redlock = ffi.load("libredlock.so.0")

-- Calls a function that may fail, with a place for its error; fails with its message if the status is not the expected one.
local function call(expected, name, ...)
  local err = ffi.new("redlock_error *[1]")
  local arguments = { n = select("#", ...) + 1, ... }
  arguments[arguments.n] = err
  local status = redlock[name](unpack(arguments, 1, arguments.n))
  local message = ffi.string(redlock.redlock_error_message(err[0]))
  redlock.redlock_error_free(err[0])
  if status ~= expected then error(message, 2) end
  return status
end

local factory = ffi.new("redlock_factory *[1]")
local lock, other = ffi.new("redlock_lock *[1]"), ffi.new("redlock_lock *[1]")
-- arg[0] is this program.
local urls = ffi.new("const char *[?]", #arg, { unpack(arg) })
call(redlock.REDLOCK_OK, "redlock_factory_new", urls, #arg, nil, factory)
call(redlock.REDLOCK_OK, "redlock_acquire", factory[0], "invoice:17", 10000, 2000, lock)
-- A handle of C is not collected: what is done under the lock is called by pcall, so that the lock is given back in any case.
local worked, failure = pcall(function()
  print(("invoice:17 is ours for %d s"):format(tonumber(redlock.redlock_lock_validity_ms(lock[0])) / 1000))
  local status = call(redlock.REDLOCK_ERR_CONTENDED, "redlock_acquire", factory[0], "invoice:17", 10000, 0, other)
  print("another one gets status " .. status)
end)
call(redlock.REDLOCK_OK, "redlock_release", lock[0])
redlock.redlock_lock_free(lock[0])
redlock.redlock_factory_free(factory[0])
assert(worked, failure)
print("released")

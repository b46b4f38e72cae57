-- The end of release.lua: the lock is free, and somebody waits. `heard` is the waiter that was heard last.
redis.call('DEL', KEYS[2])
if ARGV[3] then
  open(KEYS[2], KEYS[3], ARGV[2], heard, ARGV[3], KEYS[4])
else
  promote(KEYS[1], KEYS[2], KEYS[3], ARGV[2], heard)
end
return 1

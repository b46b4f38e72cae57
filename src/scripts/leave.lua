-- A waiter does not wait any more. KEYS: as in release.lua. ARGV[1]: the waiter; ARGV[2]: the next one's time, in ms.
-- If the lock is reserved for it, or free, for it may have stepped back from it, the next one is called.
redis.call('ZREM', KEYS[3], ARGV[1])
local holder = redis.call('GET', KEYS[1])
if not holder or holder == 'reserved:' .. ARGV[1] then
  redis.call('DEL', KEYS[1])
  promote(KEYS[1], KEYS[2], KEYS[3], ARGV[2])
end
return 1

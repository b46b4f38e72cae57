-- A waiter does not wait any more. KEYS: as in release.lua. ARGV[1]: the waiter; ARGV[2]: the next one's time, in ms.
-- If the lock is reserved for it, or free, for it may have stepped back from it, the next one is called.
redis.call('ZREM', KEYS[3], ARGV[1])
hear(KEYS[3], ARGV[1])
local holder, heard = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])
if heard == ARGV[1] then
  heard = redis.call('ZRANGE', KEYS[3], -1, -1)[1]
  if heard then redis.call('SET', KEYS[2], heard, 'PX', math.max(redis.call('PTTL', KEYS[2]), 1)) end
end
if not holder or holder == 'reserved:' .. ARGV[1] then
  redis.call('DEL', KEYS[1])
  promote(KEYS[1], KEYS[2], KEYS[3], ARGV[2], heard)
end
return 1

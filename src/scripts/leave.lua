-- A waiter does not wait any more. KEYS: as in release.lua. ARGV[1]: the waiter; ARGV[2]: the next one's time, in ms.
redis.call('ZREM', KEYS[3], ARGV[1])
if redis.call('GET', KEYS[1]) == 'reserved:' .. ARGV[1] then
  redis.call('DEL', KEYS[1])
  promote(KEYS[1], KEYS[2], KEYS[3], ARGV[2])
end
return 1

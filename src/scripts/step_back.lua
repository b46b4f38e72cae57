-- Frees a lock that a waiter got here but not on a quorum, and puts the waiter into the queue again, at its old place.
-- KEYS: as in release.lua. ARGV[1]: the owner's token; ARGV[2]: the waiter; ARGV[3]: its arrival; ARGV[4]: how long a waiter
-- may take, in ms.
-- Another one is called only if its turn comes before: otherwise all who wait would be called in turn, to find out, each,
-- that somebody holds the lock elsewhere.
-- Returns 1 when the lock was freed, 0 when it was not this owner's.
local freed = 0
if redis.call('GET', KEYS[1]) == ARGV[1] then freed = redis.call('DEL', KEYS[1]) end
hear(KEYS[3], ARGV[2])
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[2])
local keep = math.max(redis.call('PTTL', KEYS[1]), 0) + 60000
redis.call('PEXPIRE', KEYS[3], keep)
redis.call('SET', KEYS[2], ARGV[2], 'PX', keep)
if freed == 1 then promote(KEYS[1], KEYS[2], KEYS[3], ARGV[4], ARGV[2], ARGV[2]) end
return freed

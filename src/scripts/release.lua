-- Frees a lock, if it is still this owner's, or reserves it for the first waiter. KEYS[1]: the lock; KEYS[2]: there while
-- others wait; KEYS[3]: the waiters, by arrival. ARGV[1]: the owner's token; ARGV[2]: how long a waiter may take, in ms;
-- if a window is wanted, ARGV[3]: for how long the lock stays free, in ms; KEYS[4]: there while it does.
-- Returns 1 when the lock was freed, 0 when it was not this owner's (expired, or taken by another since).
-- After the algorithm's specification, "Correct implementation with a single instance".
local now = redis.call('MGET', KEYS[1], KEYS[2])
if now[1] ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
if now[2] and ARGV[3] then
  open(KEYS[2], KEYS[3], ARGV[2], now[2], ARGV[3], KEYS[4])
elseif now[2] then
  promote(KEYS[1], KEYS[2], KEYS[3], ARGV[2], now[2])
end
return 1

-- Frees a lock, if it is still this owner's, or reserves it for the first waiter: that is in release_to_waiters.lua, behind the
-- functions that it needs. They stand behind this part because making them takes a server as long as freeing a lock does,
-- and mostly nobody waits.
-- KEYS[1]: the lock; KEYS[2]: there while others wait; KEYS[3]: the waiters, by arrival. ARGV[1]: the owner's token; ARGV[2]: how
-- long a waiter may take, in ms; if a window is wanted, ARGV[3]: for how long the lock stays free, in ms; KEYS[4]: there while
-- it does.
-- Returns 1 when the lock was freed, 0 when it was not this owner's (expired, or taken by another since).
-- After the algorithm's specification, "Correct implementation with a single instance".
-- Another's key that is no string is not this owner's either; two times GET are faster than MGET.
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local heard = redis.call('GET', KEYS[2])
redis.call('DEL', KEYS[1])
if not heard then return 1 end

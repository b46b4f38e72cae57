-- Frees a lock, if it is still this owner's, or reserves it for the first waiter. KEYS[1]: the lock; KEYS[2]: there while
-- others wait; KEYS[3]: the waiters, by arrival. ARGV[1]: the owner's token; ARGV[2]: how long a waiter may take, in ms.
-- Returns 1 when the lock was freed, 0 when it was not this owner's (expired, or taken by another since).
-- After the algorithm's specification, "Correct implementation with a single instance".
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if redis.call('DEL', KEYS[1], KEYS[2]) > 1 then promote(KEYS[1], KEYS[2], KEYS[3], ARGV[2]) end
return 1

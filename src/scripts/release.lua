-- Frees a lock, if it is still this owner's. KEYS[1]: the lock; ARGV[1]: the owner's token.
-- Returns 1 when the lock was freed, 0 when it was not this owner's (expired, or taken by another since).
-- After the algorithm's specification, "Correct implementation with a single instance".
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0

-- Sets the time to live of a lock, if it is still this owner's; never creates it anew.
-- KEYS[1]: the lock; ARGV[1]: the owner's token; ARGV[2]: the time to live in ms, from now.
-- Returns 1 when it was extended, 0 when it was not this owner's (expired, or taken by another since).
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0

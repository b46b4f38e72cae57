-- Has a lock last for a time from now at least, if it is still this owner's; never creates it anew, and never ends it earlier
-- than it would: a message that comes late must not take back what a later one has given.
-- KEYS[1]: the lock; ARGV[1]: the owner's token; ARGV[2]: the time to live in ms, from now.
-- Returns 1 when it lasts for so long, 0 when it was not this owner's (expired, or taken by another since).
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
-- -1 for a key that never expires: it gets an end.
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1

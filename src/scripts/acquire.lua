-- Takes a lock if it is free, or already this attempt's, and accepts its ballot if that is the highest so far.
-- KEYS[1]: the lock; KEYS[2]: the highest ballots. ARGV[1]: the owner's token; ARGV[2]: the time to live in ms; ARGV[3]: the
-- ballot, in us since 1970; ARGV[4]: how long to remember it, in ms; ARGV[5]: the resource's cell.
-- Returns 0 when lock and ballot were taken; n > 0 when the lock was taken (except for a ballot that was accepted
-- before: a repeated message) but a ballot of at least n is needed; -2 - PTTL when another owner holds the lock, which is
-- -1 if its key never expires.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return -2 - redis.call('PTTL', KEYS[1]) end
local least, repeated = accept(KEYS[2], {ARGV[5]}, ARGV[3], ARGV[4])
if not holder and not repeated then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return least

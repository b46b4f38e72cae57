-- Takes a lock if it is free, or already this attempt's, and accepts its ballot if that is the highest so far.
-- KEYS[1]: the lock; KEYS[2]: the highest ballot ever accepted for it. ARGV[1]: the owner's token; ARGV[2]: the time to
-- live in ms; ARGV[3]: the ballot, in us since 1970; ARGV[4]: how long to remember the ballot, in ms.
-- Returns 0 when lock and ballot were taken; n > 0 when the lock was taken (except for a ballot that was accepted
-- before: a repeated message) but a ballot of at least n is needed; -2 - PTTL when another owner holds the lock.
local fresh = redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
if not fresh and redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -2 - redis.call('PTTL', KEYS[1])
end
local ballot = tonumber(ARGV[3])
local before = redis.pcall('SET', KEYS[2], ARGV[3], 'PX', ARGV[4], 'GET')
if type(before) == 'table' and before.err then
  if fresh then redis.call('DEL', KEYS[1]) end
  return before
end
local highest = before and tonumber(before) or 0
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
-- Not below the node's own clock by more than a second: so a ballot that the node has forgotten with its data can't be
-- undercut. Not far above it either: so a client with a wild clock can't run the ballots away.
if ballot > highest and ballot >= now - 1000000 and ballot <= math.max(highest + 1, now + 1000000) then
  return 0
end
if before then
  redis.call('SET', KEYS[2], before, 'PX', ARGV[4])
else
  redis.call('DEL', KEYS[2])
end
if fresh and ballot == highest then redis.call('DEL', KEYS[1]) end
return math.max(highest + 1, now)

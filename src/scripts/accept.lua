-- Accepts a ballot for `cells` if it is above the highest that was accepted for any of them, and near the node's own time.
-- All highest ballots are in one sorted set, `ballots`: a resource's is the score of its cell, which it shares with a few
-- others. Returns 0 when it was accepted, else the least ballot that would be, and whether it was that of the last time.
local function accept(ballots, cells, ballot, retention)
  local number, highest = tonumber(ballot), 0
  for _, score in ipairs(redis.call('ZMSCORE', ballots, unpack(cells))) do
    highest = math.max(highest, tonumber(score or '0'))
  end
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  -- Not below the node's own clock by more than a second: so a ballot that the node has forgotten with its data can't be
  -- undercut. Not far above it either: so a client with a wild clock can't run the ballots away.
  if number <= highest or number < now - 1000000 or number > math.max(highest + 1, now + 1000000) then
    return math.max(highest + 1, now), number == highest
  end
  for _, cell in ipairs(cells) do
    redis.call('ZADD', ballots, ballot, cell)
  end
  redis.call('PEXPIRE', ballots, retention)
  return 0, false
end

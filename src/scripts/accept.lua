-- Accepts a ballot for `cells` if it is above the highest that was accepted for any of them, and near the node's own time.
-- All highest ballots are in one sorted set, `ballots`: a resource's is the score of its cell, which it shares with a few
-- others. Returns 0 when it was accepted, else the least ballot that would be, and whether it was that of the last time.
local function accept(ballots, cells, ballot, retention)
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  local number, highest = tonumber(ballot), 0
  -- Not below the node's own clock by more than a second: so a ballot that the node has forgotten with its data can't be
  -- undercut. Not far above it either: so a client with a wild clock can't run the ballots away.
  local early, late = number < now - 1000000, number > now + 1000000
  local accepted = not (early or late or cells[2]) and redis.call('ZADD', ballots, 'GT', 'CH', ballot, cells[1]) == 1
  if not accepted then
    for _, score in ipairs(redis.call('ZMSCORE', ballots, unpack(cells))) do
      highest = math.max(highest, tonumber(score or '0'))
    end
    if number <= highest or early or (late and number > highest + 1) then
      return math.max(highest + 1, now), number == highest
    end
    for _, cell in ipairs(cells) do
      redis.call('ZADD', ballots, ballot, cell)
    end
  end
  redis.call('PEXPIRE', ballots, retention)
  return 0, false
end

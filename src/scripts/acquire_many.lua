-- Takes several locks, all or none, as acquire.lua takes one.
-- KEYS: the locks, then the highest ballots accepted for each, in the same order (or no ballots, without fencing).
-- ARGV: as in acquire.lua; ARGV[3] is empty without fencing.
-- Returns what acquire.lua returns: -2 - PTTL is of the lock that is held the longest.
local fenced = ARGV[3] ~= ''
local count = fenced and #KEYS / 2 or #KEYS
local held, free = nil, {}
for i = 1, count do
  local holder = redis.call('GET', KEYS[i])
  if not holder then
    free[#free + 1] = i
  elseif holder ~= ARGV[1] then
    held = math.max(held or -1, redis.call('PTTL', KEYS[i]))
  end
end
if held then return -2 - held end
local accepted, least = true, 0
if fenced then
  local ballot = tonumber(ARGV[3])
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  local highest, repeated = 0, false
  for i = count + 1, 2 * count do
    local before = tonumber(redis.call('GET', KEYS[i]) or '0')
    repeated = repeated or before == ballot
    highest = math.max(highest, before)
  end
  accepted = ballot > highest and ballot >= now - 1000000 and ballot <= math.max(highest + 1, now + 1000000)
  least = math.max(highest + 1, now)
  -- A message that comes once more, after the lock was given back, takes nothing.
  if repeated and #free == count then return least end
end
for _, i in ipairs(free) do
  redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[2])
end
if not accepted then return least end
for i = count + 1, fenced and 2 * count or count do
  redis.call('SET', KEYS[i], ARGV[3], 'PX', ARGV[4])
end
return 0

-- Takes several locks, all or none, as acquire.lua takes one.
-- KEYS: the locks, then the highest ballots (not without fencing). ARGV[1] to ARGV[4]: as in acquire.lua, ARGV[3] is empty
-- without fencing; then the resources' cells, in the locks' order.
-- Returns what acquire.lua returns: -2 - PTTL is of the lock that is held the longest, -1 if one never expires.
local count = ARGV[3] == '' and #KEYS or #KEYS - 1
local held, endless, free = nil, false, {}
for i = 1, count do
  local holder = redis.call('GET', KEYS[i])
  if not holder then
    free[#free + 1] = KEYS[i]
  elseif holder ~= ARGV[1] then
    local left = redis.call('PTTL', KEYS[i])
    held, endless = math.max(held or -1, left), endless or left < 0
  end
end
if endless then return -1 end
if held then return -2 - held end
local least, repeated = 0, false
if ARGV[3] ~= '' then least, repeated = accept(KEYS[count + 1], {unpack(ARGV, 5)}, ARGV[3], ARGV[4]) end
-- A message that comes once more, after the lock was given back, takes nothing.
if repeated and #free == count then return least end
for _, lock in ipairs(free) do
  redis.call('SET', lock, ARGV[1], 'PX', ARGV[2])
end
return least

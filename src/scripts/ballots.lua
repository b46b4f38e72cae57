-- Accepts ballots for locks that were asked for just before by SET, each by the rule of accept.lua, in as few steps as it can.
-- A node accepts a ballot whether the lock was taken or not: the one makes a fence, the other an owner.
-- KEYS[1]: the highest ballots. ARGV[1]: how long to remember them, in ms; ARGV[2], ARGV[3]: the lowest and the highest of
-- the ballots; then, for each lock, the ballot and the resource's cell.
-- Returns 0 when all were accepted; otherwise for each 0, or the least ballot that would be.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answers = {}
if tonumber(ARGV[2]) < now - 1000000 or tonumber(ARGV[3]) > now + 1000000 then
  for i = 4, #ARGV, 2 do
    answers[#answers + 1] = accept(KEYS[1], {ARGV[i + 1]}, ARGV[i], ARGV[1])
  end
  return answers
end
local missed = (#ARGV - 3) / 2 - redis.call('ZADD', KEYS[1], 'GT', 'CH', unpack(ARGV, 4))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
-- Up to 128 short members are kept as a list, and searched one by one; a long one among them makes it an index. Once in
-- a while is enough to put it there.
if now % 64 == 0 then redis.call('ZADD', KEYS[1], 'NX', 0, string.rep('-', 65)) end
if missed == 0 then return 0 end
-- Those that were too low are below what is there now. If that explains how many there are, those that are there were
-- accepted; else one was there before, perhaps another's, and none may be taken for accepted.
for i = 4, #ARGV, 2 do
  local highest = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i + 1]))
  if highest > tonumber(ARGV[i]) then missed = missed - 1 end
  answers[#answers + 1] = highest
end
for i, highest in ipairs(answers) do
  local accepted = missed == 0 and highest == tonumber(ARGV[2 * i + 2])
  answers[i] = accepted and 0 or math.max(highest + 1, now)
end
return answers

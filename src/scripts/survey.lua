-- What a check of the nodes asks for: how far a node's highest ballot lies ahead of its own clock, and the keys of ballots that
-- it holds, of whatever prefix. KEYS[1]: the highest ballots.
-- Returns a text. The first line has the node's time in us since 1970; the second the us by which the highest ballot is ahead,
-- negative when it is behind, and nothing when there is none; the others have a key each. The search for them is bounded, and what this user may not do is left out.
local function reply_to(...)
  local reply = redis.pcall(...)
  return type(reply) == 'table' and not reply.err and reply or nil
end
local lines, cursor, steps = {'', ''}, '0', 0
local highest, time = reply_to('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES'), reply_to('TIME')
local now = time and time[1] * 1000000 + time[2]
if now then lines[1] = string.format('%.0f', now) end
if now and highest and highest[2] then lines[2] = string.format('%.0f', tonumber(highest[2]) - now) end
repeat
  local found = reply_to('SCAN', cursor, 'MATCH', '*libredlock:ballots', 'COUNT', 1000, 'TYPE', 'zset')
  if not found then break end
  cursor, steps = found[1], steps + 1
  for _, key in ipairs(found[2]) do
    lines[#lines + 1] = string.gsub(string.sub(key, 1, 200), '%c', '?')
  end
until cursor == '0' or steps == 10 or #lines > 11
return table.concat(lines, '\n')

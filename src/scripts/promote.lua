-- A waiter is a member of the queue, `channel|number`, and its score its arrival. The score of one that was called is
-- negative: so it stays the first, and shows that its process has not been heard since. `waiting` is the waiter that was
-- heard last.
local function process(waiter)
  return string.match(waiter, '^(.*)|')
end
-- Tells a waiter something. Returns how many processes heard it, 0 if its process is gone; a table with the error if this
-- user may not publish.
local function tell(waiter, what)
  local channel, number = string.match(waiter, '^(.*)|(%d+)$')
  return redis.pcall('PUBLISH', channel, number .. ' ' .. what)
end
-- This waiter's process is heard. If another waiter of it was called, that one alone has lost its turn: its process does not
-- stand still.
local function hear(queue, waiter)
  local first = redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')
  if first[1] and string.sub(first[2], 1, 1) == '-' and process(first[1]) == process(waiter) then
    redis.call('ZREM', queue, first[1])
  end
end
-- The first two waiters and the first one's arrival, at a time when no reservation is on. One that was called before did
-- not answer, nor did its process say anything since: it stands still, and all its waiters leave.
local function first_two(queue)
  while true do
    local line = redis.call('ZRANGE', queue, 0, 1, 'WITHSCORES')
    if not line[1] or string.sub(line[2], 1, 1) ~= '-' then return line[1], line[2], line[3] end
    local silent = process(line[1]) .. '|'
    for _, waiter in ipairs(redis.call('ZRANGE', queue, 0, -1)) do
      if string.sub(waiter, 1, #silent) == silent then redis.call('ZREM', queue, waiter) end
    end
  end
end
-- Others than the first wait: tells two of them at most to look in so many ms, of processes that are not the first one's if
-- there are any. The one that was heard last is the likeliest not to stand still.
local function stand_by(waiting, first, second, heard, ms)
  local reserved, next_one, latest = process(first), process(second), heard and process(heard)
  local is_other = latest and latest ~= reserved
  redis.call('SET', waiting, is_other and heard or second, 'PX', 60000)
  if is_other and latest ~= next_one then tell(heard, 'standby ' .. ms) end
  if not is_other or next_one ~= reserved then tell(second, 'standby ' .. ms) end
end
-- Reserves a free lock for the first waiter that is still there, and wakes it: for as long as `grace` ms the lock's key
-- says whose turn it is, so that nobody else can take it. `heard` is the waiter that was heard last. Returns the key's new
-- value; nil if nobody waits, or nobody but `asker` since before `arrival`.
local function promote(lock, waiting, queue, grace, heard, asker, arrival)
  while true do
    local first, came, second = first_two(queue)
    if not first or first == asker or (arrival and tonumber(came) >= tonumber(arrival)) then return nil end
    local reached = tell(first, 'wake ' .. lock)
    -- The waiters must look for themselves.
    if type(reached) == 'table' then return nil end
    if reached > 0 then
      local reservation = 'reserved:' .. first
      redis.call('ZADD', queue, '-' .. came, first)
      redis.call('SET', lock, reservation, 'PX', grace)
      if second then stand_by(waiting, first, second, heard, grace) end
      return reservation
    end
    redis.call('ZREM', queue, first)
  end
end

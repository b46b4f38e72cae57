-- Tells a waiter something: it is a member of the queue, `channel|number`. Returns how many processes heard it, 0 if its
-- process is gone; a table with the error if this user may not publish.
local function tell(waiter, what)
  local channel, number = string.match(waiter, '^(.*)|(%d+)$')
  return redis.pcall('PUBLISH', channel, number .. ' ' .. what)
end
-- Reserves a free lock for the first waiter that is still there, and wakes it: for as long as `grace` ms the lock's key
-- says whose turn it is, so that nobody else can take it. Returns the key's new value, nil if nobody waits.
local function promote(lock, waiting, queue, grace)
  while true do
    local first, second = unpack(redis.call('ZRANGE', queue, 0, 1))
    if not first then return nil end
    local heard = tell(first, 'wake ' .. lock)
    -- The waiters must look for themselves.
    if type(heard) == 'table' then return nil end
    redis.call('ZREM', queue, first)
    if heard > 0 then
      local reservation = 'reserved:' .. first
      redis.call('SET', lock, reservation, 'PX', grace)
      if second then
        redis.call('SET', waiting, '1', 'PX', 60000)
        tell(second, 'standby ' .. grace)
      end
      return reservation
    end
  end
end

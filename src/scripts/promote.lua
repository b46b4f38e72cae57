-- Reserves a free lock for the first waiter that is still there, and wakes it: for as long as `grace` ms the lock's key
-- says whose turn it is, so that nobody else can take it. Returns the key's new value, nil if nobody waits.
-- A waiter is a member of the queue, `channel|number`; its score is its arrival. PUBLISH tells whether its process lives.
local function promote(lock, waiting, queue, grace)
  while true do
    local head = redis.call('ZPOPMIN', queue)
    if not head[1] then return nil end
    local channel, number = string.match(head[1], '^(.*)|(%d+)$')
    local heard = redis.pcall('PUBLISH', channel, number .. ' wake ' .. lock)
    if type(heard) == 'table' then
      -- This user may not publish: the waiters must look for themselves.
      redis.call('ZADD', queue, head[2], head[1])
      return nil
    end
    if heard > 0 then
      local reservation = 'reserved:' .. head[1]
      redis.call('SET', lock, reservation, 'PX', grace)
      local second = redis.call('ZRANGE', queue, 0, 0)
      if second[1] then
        redis.call('SET', waiting, '1', 'PX', 60000)
        channel, number = string.match(second[1], '^(.*)|(%d+)$')
        redis.call('PUBLISH', channel, number .. ' standby ' .. grace)
      end
      return reservation
    end
  end
end

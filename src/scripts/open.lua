-- Leaves a lock that became free to those who do not queue, for `window` ms, in which the key `is_open` is there. Nobody is
-- called: the first waiter that is still there looks then, and one of another process if that does not.
local function open(waiting, queue, grace, heard, window, is_open)
  while true do
    local first = first_two(queue)
    if not first then return end
    local reached = tell(first, 'standby ' .. window)
    if reached ~= 0 then
      redis.call('SET', waiting, heard, 'PX', 60000)
      redis.call('SET', is_open, '1', 'PX', window)
      if process(heard) ~= process(first) then tell(heard, 'standby ' .. window + grace) end
      return
    end
    redis.call('ZREM', queue, first)
  end
end

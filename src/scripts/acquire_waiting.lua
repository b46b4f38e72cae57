-- Takes a lock as acquire.lua does, if it is this waiter's turn; joins the queue otherwise.
-- KEYS[1]: the lock; KEYS[2]: there while others wait; KEYS[3]: the waiters, by arrival; KEYS[4]: the highest ballots;
-- KEYS[5]: there while the lock is left to those who do not queue.
-- ARGV[1]: the owner's token; ARGV[2]: the time to live in ms; ARGV[3]: the ballot, empty without fencing;
-- ARGV[4]: how long to remember the ballot, in ms; ARGV[5]: the waiter; ARGV[6]: its arrival; ARGV[7]: how long a waiter
-- may take to answer its call, in ms; ARGV[8]: the resource's cell.
-- Returns what acquire.lua returns, but when another owner holds the lock -2 - n, n being the ms after which a look is
-- worth while, when the owner's time or the reservation is over. If the owner is of another library, which calls nobody,
-- 2^42 is subtracted from that; if its key never expires, it is -2 - 2^43.
local waiter = ARGV[5]
-- The queue outlives the holder's time, when the waiter looks again.
local function join(left)
  local keep = math.max(left, 0) + 60000
  redis.call('ZADD', KEYS[3], ARGV[6], waiter)
  redis.call('PEXPIRE', KEYS[3], keep)
  redis.call('SET', KEYS[2], waiter, 'PX', keep)
end
local holder = redis.call('GET', KEYS[1])
if not holder then
  hear(KEYS[3], waiter)
  local open = redis.call('PTTL', KEYS[5])
  if open >= 0 then
    join(open)
    return -2 - open
  end
  holder = promote(KEYS[1], KEYS[2], KEYS[3], ARGV[7], waiter, waiter, ARGV[6])
elseif holder ~= 'reserved:' .. waiter then
  hear(KEYS[3], waiter)
end
if holder and holder ~= ARGV[1] and holder ~= 'reserved:' .. waiter then
  local left = math.min(redis.call('PTTL', KEYS[1]), 4398046511103)
  join(left)
  if left < 0 then return -2 - 8796093022208 end
  if not (#holder == 40 and string.match(holder, '^%x+$')) and string.sub(holder, 1, 9) ~= 'reserved:' then
    return -2 - left - 4398046511104
  end
  return -2 - left
end
local least, repeated, fresh = 0, false, holder ~= ARGV[1]
if ARGV[3] ~= '' then least, repeated = accept(KEYS[4], {ARGV[8]}, ARGV[3], ARGV[4]) end
-- A message that comes once more, after the lock was given back, takes nothing.
if fresh and repeated then return least end
redis.call('ZREM', KEYS[3], waiter)
if fresh then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  -- The next in line looks again when this owner's time is over.
  local second = redis.call('ZRANGE', KEYS[3], 0, 0)
  if second[1] then
    local keep = ARGV[2] + 60000
    redis.call('PEXPIRE', KEYS[3], keep)
    if redis.call('PEXPIRE', KEYS[2], keep) == 0 then redis.call('SET', KEYS[2], second[1], 'PX', keep) end
    tell(second[1], 'standby ' .. ARGV[2])
  end
end
return least

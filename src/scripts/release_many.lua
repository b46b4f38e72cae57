-- Frees several locks, as release.lua frees one, and calls the first waiter of each. KEYS: the locks, then what is there
-- while others wait for each, then each one's waiters. ARGV[1]: the owner's token; ARGV[2]: how long a waiter may take, in ms.
-- Returns 1 when all were this owner's and are freed, 0 when one was not; those that were are freed in any case.
local count, all, heard = #KEYS / 3, 1, {}
for i = 1, count do
  local now = redis.call('MGET', KEYS[i], KEYS[count + i])
  if now[1] == ARGV[1] then
    redis.call('DEL', KEYS[i], KEYS[count + i])
    heard[i] = now[2]
  else
    all = 0
  end
end
-- When all are free: whoever is called for one may want others too.
for i = 1, count do
  if heard[i] then promote(KEYS[i], KEYS[count + i], KEYS[2 * count + i], ARGV[2], heard[i]) end
end
return all

-- Frees several locks, as release.lua frees one. KEYS: the locks; ARGV[1]: the owner's token.
-- Returns 1 when all were this owner's and are freed, 0 when one was not; those that were are freed in any case.
local all = 1
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[1] then
    redis.call('DEL', KEYS[i])
  else
    all = 0
  end
end
return all

-- Has several locks last for a time from now at least, as extend.lua does for one. KEYS: the locks; ARGV[1]: the owner's
-- token; ARGV[2]: the time to live in ms, from now.
-- Returns 1 when all were this owner's and last for so long; 0 when one was not, and then none is changed.
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) ~= ARGV[1] then return 0 end
end
for i = 1, #KEYS do
  if redis.call('PTTL', KEYS[i]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
end
return 1

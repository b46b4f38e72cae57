-- Whether this user may use the commands by which locks are given back and extended, on a key that nobody has.
-- KEYS[1]: that key; ARGV[1]: a mark, by which the answer is known. Returns the mark, and behind it the first refusal if there
-- is one. Changes nothing.
local key = KEYS[1]
for _, command in ipairs({{'GET', key}, {'MGET', key}, {'PTTL', key}, {'PEXPIRE', key, '1'}, {'DEL', key}}) do
  local reply = redis.pcall(unpack(command))
  if type(reply) == 'table' and reply.err then return ARGV[1] .. command[1] .. ': ' .. reply.err end
end
return ARGV[1]

-- Gives tags new stamps and leaves a witness: a server that has lost these stamps has lost it too.
-- The witness is the range of bumps without a gap that ends with the last one, as "first last".
-- KEYS: witness, stamps. ARGV: life of stamps (ms), number of this bump, life of the witness (ms), then one stamp each.
local number = tonumber(ARGV[2])
local first, last = number, number
local found = redis.call('GET', KEYS[1])
if found then
  local begun, ended = string.match(found, '(%d+) (%d+)')
  if tonumber(ended) == number - 1 then first = begun end
  if tonumber(begun) == number + 1 then last = ended end
end
redis.call('SET', KEYS[1], first .. ' ' .. last, 'PX', ARGV[3])
for i = 2, #KEYS do redis.call('SET', KEYS[i], ARGV[2 + i], 'PX', ARGV[1]) end
return #KEYS

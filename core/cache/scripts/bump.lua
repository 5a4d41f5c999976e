-- Gives tags new stamps and leaves a witness: a server that has lost these stamps has lost it too.
-- The witness is the range of bumps without a gap that ends with the last one, as "first last".
-- A word goes to the channel of each other node; those that have no listener are not among the channels.
-- KEYS: witness, stamps. ARGV: life of stamps (ms), number of this bump, life of the witness (ms),
--       prefix of the nodes' channels ('' = no word), channel of the writer's own node, word, then one stamp each.
-- Returns the channels that the word went to.
local number = tonumber(ARGV[2])
local first, last = number, number
local found = redis.call('GET', KEYS[1])
if found then
  local begun, ended = string.match(found, '(%d+) (%d+)')
  if tonumber(ended) == number - 1 then first = begun end
  if tonumber(begun) == number + 1 then last = ended end
end
redis.call('SET', KEYS[1], first .. ' ' .. last, 'PX', ARGV[3])
for i = 2, #KEYS do redis.call('SET', KEYS[i], ARGV[5 + i], 'PX', ARGV[1]) end
local told = {}
if ARGV[4] ~= '' then
  for _, channel in ipairs(redis.call('PUBSUB', 'SHARDCHANNELS', ARGV[4] .. '*')) do
    if channel ~= ARGV[5] then
      redis.call('SPUBLISH', channel, ARGV[6])
      told[#told + 1] = channel
    end
  end
end
return told

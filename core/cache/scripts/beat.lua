-- The relay's step: new stamps, then the heartbeat moves on if it still is what the relay left there.
-- KEYS: heartbeat, stamps. ARGV: expected heartbeat, next heartbeat, life of stamps (ms), then one new stamp each.
-- Returns the heartbeat found where it is another one ('' = none); the stamps are set in any case.
for i = 2, #KEYS do redis.call('SET', KEYS[i], ARGV[2 + i], 'PX', ARGV[3]) end
local found = redis.call('GET', KEYS[1])
if found == ARGV[1] or (not found and ARGV[1] == '') then
  redis.call('SET', KEYS[1], ARGV[2])
  return false
end
return found or ''

-- Stores loaded values and ends their leases.
-- KEYS: values. ARGV: lease token, prefix of values, prefix of leases, then for each value its bytes ('' = store
-- nothing) and its life (ms).
for i = 1, #KEYS do
  local bytes, life = ARGV[2 + 2 * i], ARGV[3 + 2 * i]
  if bytes ~= '' then redis.call('SET', KEYS[i], bytes, 'PX', life) end
  local lease = ARGV[3] .. string.sub(KEYS[i], #ARGV[2] + 1)
  local holder = redis.call('GET', lease)
  if holder and string.sub(holder, 1, 8) == ARGV[1] then redis.call('DEL', lease) end
end
return #KEYS

-- Gives tags new stamps. KEYS: stamps. ARGV: life (ms), then one new stamp each.
for i = 1, #KEYS do redis.call('SET', KEYS[i], ARGV[1 + i], 'PX', ARGV[1]) end
return #KEYS

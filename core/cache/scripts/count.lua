-- Adds to a counter that ends by itself. KEYS: counter. ARGV: amount, life (ms). Returns the new total.
local total = redis.call('INCRBY', KEYS[1], ARGV[1])
if total == tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return total

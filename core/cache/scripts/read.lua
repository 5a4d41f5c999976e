-- One round trip of reading: values with the stamps that vouch for them, missing stamps made, misses leased.
-- KEYS: heartbeat, witnesses (ranges of recent bumps), stamps (each once), values.
-- ARGV: number of witnesses, number of stamps, life of a new stamp (ms), life of a lease (ms), lease token (8 bytes),
--       seed of new stamps (12 random bytes), prefix of values, prefix of leases,
--       then for each value the positions of its stamps (2 bytes each, big-endian) and the validators of the caller's
--       own copies (each: end of validity, 8 bytes; digest, 24 hexadecimal digits).
-- Returns heartbeat, clock (ms), witnesses, then for each value: its bytes if it is valid, else {stamp vector, leased}.
-- Nothing is leased while a copy is current: nobody is going to load.
-- Without a heartbeat nothing can be vouched for: then only {false, clock, witnesses}.
local function current(copies, named)
  for at = 1, #copies, 32 do
    local digest = redis.sha1hex(named .. string.sub(copies, at, at + 7))
    if string.sub(digest, 1, 24) == string.sub(copies, at + 8, at + 31) then return true end
  end
  return false
end

local before = tonumber(ARGV[1]) + 1
local count = tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local found = redis.call('MGET', unpack(KEYS))
local witnesses = {}
for i = 2, before do witnesses[i - 1] = found[i] end
if not found[1] then return {false, now, witnesses} end
for i = before + 1, before + count do
  if not found[i] then
    found[i] = ARGV[6] .. struct.pack('>I4', i)
    redis.call('SET', KEYS[i], found[i], 'PX', ARGV[3])
  end
end
local epoch = string.sub(found[1], 1, 16)
local reply = {found[1], now, witnesses}
for i = before + count + 1, #KEYS do
  local at = 2 * (i - before - count) + 7
  local positions, copies = ARGV[at], ARGV[at + 1]
  local stamps = {epoch}
  for j = 1, #positions, 2 do
    local high, low = string.byte(positions, j, j + 1)
    stamps[#stamps + 1] = found[high * 256 + low + before + 1]
  end
  local vector = table.concat(stamps)
  local value = found[i]
  if value and string.sub(value, 5, 4 + #vector) == vector
      and struct.unpack('<I2', string.sub(value, 3, 4)) == #vector
      and now < struct.unpack('<I8', string.sub(value, 5 + #vector, 12 + #vector)) then
    reply[#reply + 1] = value
  elseif current(copies, KEYS[i] .. vector) then
    reply[#reply + 1] = {vector, 0}
  else
    local lease = ARGV[8] .. string.sub(KEYS[i], #ARGV[7] + 1)
    local holder = redis.call('GET', lease)
    local leased = 0
    if not holder or string.sub(holder, 9) ~= vector or string.sub(holder, 1, 8) == ARGV[5] then
      redis.call('SET', lease, ARGV[5] .. vector, 'PX', ARGV[4])
      leased = 1
    end
    reply[#reply + 1] = {vector, leased}
  end
end
return reply

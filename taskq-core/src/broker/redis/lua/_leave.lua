-- An entry of the dead set leaves it; meta keeps the bytes. Whether it was there.
local function leave(dead, meta, entry)
  if redis.call('ZREM', dead, entry) == 0 then return false end
  local size = tonumber(redis.call('HGET', meta, 'dead_bytes') or 0) or 0
  redis.call('HSET', meta, 'dead_bytes', math.max(0, size - #entry))
  return true
end

-- The dead set is bounded by age, by count and by bytes; meta keeps the bytes. At most so many leave at a time.
local function trim(dead, meta, ms, entries, bytes)
  for _ = 1, 1000 do
    local size = tonumber(redis.call('HGET', meta, 'dead_bytes') or 0) or 0
    local first = redis.call('ZRANGE', dead, '0', '0', 'WITHSCORES')
    if not first[1] then
      if size ~= 0 then redis.call('HSET', meta, 'dead_bytes', '0') end
      return
    end
    if tonumber(first[2]) >= now - ms and size <= bytes and redis.call('ZCARD', dead) <= entries then return end
    redis.call('ZREM', dead, first[1])
    redis.call('HSET', meta, 'dead_bytes', math.max(0, size - #first[1]))
  end
end
local function bury(dead, meta, entry)
  if redis.call('ZADD', dead, now, entry) == 1 then
    local size = tonumber(redis.call('HGET', meta, 'dead_bytes') or 0) or 0
    redis.call('HSET', meta, 'dead_bytes', size + #entry)
  end
end

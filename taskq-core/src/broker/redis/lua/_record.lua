local function final(record)
  if not record then return false end
  local state = string.sub(record, 11, 13)
  return state == 'SUC' or state == 'FAI' or state == 'REV' or state == 'DEA'
end
local function keep(records, bucket, second, retention_s)
  local deadline = math.floor(now / 1000) + retention_s
  if redis.call('ZADD', records, 'GT', 'CH', deadline, second) == 1 then
    redis.call('EXPIRE', bucket, retention_s + 3600)
    redis.call('ZREMRANGEBYSCORE', records, '-inf', math.floor(now / 1000) - 7200)
  end
end

-- drop.lua: drops buckets of records whose time is over.
-- KEYS[1] records zset  KEYS[2..] buckets (hash)
-- ARGV[1] clock offset ms  ARGV[2..] the second of each bucket
-- returns how many were dropped
-- events  none
redis.call('ZREM', KEYS[1], '~')
local dropped = 0
for i = 2, #KEYS do
  local deadline = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if deadline and tonumber(deadline) <= now / 1000 then
    redis.call('UNLINK', KEYS[i])
    redis.call('ZREM', KEYS[1], ARGV[i])
    dropped = dropped + 1
  end
end
return dropped

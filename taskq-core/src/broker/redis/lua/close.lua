-- close.lua: ends a session that holds nothing; one that still holds something is resigned.
-- KEYS[1] session hash  KEYS[2] orphan hash  KEYS[3] leases zset
-- ARGV[1] clock offset ms  ARGV[2] session id
-- returns OK | RESIGNED | GONE
-- events  none
redis.call('HDEL', KEYS[1], '~')
local fields = redis.call('HLEN', KEYS[1])
if fields == 0 then
  -- A sweeper may have it in hand: without its lease nobody would go on with the orphan.
  if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('ZREM', KEYS[3], ARGV[2]) end
  return 'GONE'
end
redis.call('HSET', KEYS[1], 'x', '1')
if redis.call('HLEN', KEYS[1]) > 4 then
  redis.call('ZADD', KEYS[3], now - 1, ARGV[2])
  redis.call('RENAME', KEYS[1], KEYS[2])
  return 'RESIGNED'
end
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('UNLINK', KEYS[1])
return 'OK'

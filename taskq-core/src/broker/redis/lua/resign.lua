-- resign.lua: a living worker gives up its session at once; sweepers give back what it held, uncharged.
-- KEYS[1] session hash  KEYS[2] orphan hash  KEYS[3] leases zset
-- ARGV[1] clock offset ms  ARGV[2] session id
-- returns OK | GONE
-- events  none
redis.call('HDEL', KEYS[1], '~')
if redis.call('EXISTS', KEYS[1]) == 0 then return 'GONE' end
redis.call('HSET', KEYS[1], 'x', '1')
redis.call('ZADD', KEYS[3], now - 1, ARGV[2])
redis.call('RENAME', KEYS[1], KEYS[2])
return 'OK'

-- register.lua: a worker says that it is there, for so long.
-- KEYS[1] workers zset
-- ARGV[1] clock offset ms  ARGV[2] worker id  ARGV[3] ms
-- returns OK
-- events  none yet
redis.call('ZREM', KEYS[1], '~')
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 3600000)
return 'OK'

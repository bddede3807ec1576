-- register.lua: a worker says that it is there, for so long; who has not said so in time is offline.
-- KEYS[1] workers zset  KEYS[2] fleet's events stream
-- ARGV[1] clock offset ms  ARGV[2] worker id, a space, node name  ARGV[3] ms  ARGV[4] what its events tell, as JSON  ARGV[5] events at most
-- returns OK
-- events  worker-online, worker-heartbeat, worker-offline
redis.call('ZREM', KEYS[1], '~')
local until_ = redis.call('ZSCORE', KEYS[1], ARGV[2])
local kind = until_ and tonumber(until_) >= now and 'worker-heartbeat' or 'worker-online'
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[2])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', 'k', kind, 'j', ARGV[4])
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. now, 'LIMIT', '0', '100')) do
  redis.call('ZREM', KEYS[1], gone)
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', 'k', 'worker-offline', 'n', string.match(gone, ' (.*)$') or gone)
end
return 'OK'

-- withdraw.lua: a worker leaves.
-- KEYS[1] workers zset  KEYS[2] worker hash  KEYS[3] fleet's events stream
-- ARGV[1] worker id, a space, node name  ARGV[2] events at most  ARGV[3] what its event tells, as JSON
-- returns OK
-- events  worker-offline
redis.call('UNLINK', KEYS[2])
if redis.call('ZREM', KEYS[1], ARGV[1]) == 1 then
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[2], '*', 'k', 'worker-offline', 'j', ARGV[3])
end
return 'OK'

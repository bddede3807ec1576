-- beat.lua: renews a lease, then compares; behind what the worker knows is lost, ahead is a call under way.
-- KEYS[1] session hash  KEYS[2] leases zset
-- ARGV[1] clock offset ms  ARGV[2] session id  ARGV[3] lease ms  ARGV[4] last claim  ARGV[5] next finish
-- returns OK | LOST
-- events  none
redis.call('HDEL', KEYS[1], '~')
local held = redis.call('HMGET', KEYS[1], 'c', 'f')
local deadline = redis.call('ZSCORE', KEYS[2], ARGV[2])
if not held[1] or not deadline then return 'LOST' end
if tonumber(deadline) < now + ARGV[3] / 2 then redis.call('HSET', KEYS[1], 's', now) end
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[2])
if tonumber(held[1]) < tonumber(ARGV[4]) or tonumber(held[2]) < tonumber(ARGV[5]) then return 'LOST' end
return 'OK'

-- open.lua: creates a session and its lease; the first one at a queue says how long leases are.
-- KEYS[1] session hash  KEYS[2] leases zset  KEYS[3] meta hash
-- ARGV[1] clock offset ms  ARGV[2] session id  ARGV[3] lease ms
-- returns {OK, lease ms in force} | {TAKEN}
-- events  none
redis.call('HDEL', KEYS[1], '~')
if redis.call('EXISTS', KEYS[1]) == 1 or redis.call('ZSCORE', KEYS[2], ARGV[2]) then return {'TAKEN'} end
local lease = redis.call('HGET', KEYS[3], 'lease')
if not lease or redis.call('ZCARD', KEYS[2]) == 0 then
  lease = ARGV[3]
  redis.call('HSET', KEYS[3], 'lease', lease, 'beat', math.floor(lease / 5))
end
redis.call('ZADD', KEYS[2], now + lease, ARGV[2])
redis.call('HSET', KEYS[1], 'c', '0', 'f', '1', 's', now)
return {'OK', lease}

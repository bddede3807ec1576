-- resume.lua: ends a pause and wakes every worker of the queue: those that know of the pause listen to no other bell.
-- KEYS[1] meta hash  KEYS[2] resumed zset  KEYS[3] bell zset  KEYS[4] leases zset
-- returns 1 if the queue was paused, else 0
-- events  none
if redis.call('HDEL', KEYS[1], 'paused') == 0 then return 0 end
local rings = {}
for i = 1, math.min(redis.call('ZCARD', KEYS[4]), 1000) do
  rings[2 * i - 1] = '0'
  rings[2 * i] = i
end
if #rings > 0 then
  redis.pcall('ZADD', KEYS[2], unpack(rings))
  redis.call('PEXPIRE', KEYS[2], '2000')
end
redis.pcall('ZADD', KEYS[3], '0', '1')
return 1

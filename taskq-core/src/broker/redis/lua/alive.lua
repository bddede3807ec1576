-- alive.lua: the workers whose registration has not lapsed, and the time.
-- KEYS[1] workers zset
-- ARGV[1] clock offset ms
-- returns {now, worker id, a space and node name, …}
-- events  none
local out = redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf', 'LIMIT', '0', '1000')
table.insert(out, 1, now)
return out

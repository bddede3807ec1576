-- expired.lua: the sessions whose lease is past, oldest first, at most eight.
-- KEYS[1] leases zset
-- ARGV[1] clock offset ms
-- returns {session id, …}
-- events  none
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. now, 'LIMIT', '0', '8')

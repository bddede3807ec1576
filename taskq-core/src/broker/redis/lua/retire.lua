-- retire.lua: marks a session as given up by its own worker, so that no crash is charged whatever comes.
-- KEYS[1] session hash
-- ARGV none
-- returns OK | GONE
-- events  none
redis.call('HDEL', KEYS[1], '~')
if redis.call('EXISTS', KEYS[1]) == 0 then return 'GONE' end
redis.call('HSET', KEYS[1], 'x', '1')
return 'OK'

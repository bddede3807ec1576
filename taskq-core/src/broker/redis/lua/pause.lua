-- pause.lua: from here on nothing is claimed from the queue. A pause of a paused queue takes its place.
-- KEYS[1] meta hash  KEYS[2] resumed zset
-- ARGV[1] clock offset ms  ARGV[2] who and why: a JSON object
-- returns OK
-- events  none
redis.call('HDEL', KEYS[1], '~')
redis.call('UNLINK', KEYS[2])
redis.call('HSET', KEYS[1], 'paused', '{"since":' .. string.format('%.0f', now) .. ',' .. string.sub(ARGV[2], 2))
return 'OK'

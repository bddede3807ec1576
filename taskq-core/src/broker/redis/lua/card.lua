-- card.lua: what a worker is, for so long.
-- KEYS[1] worker hash
-- ARGV[1] card as JSON  ARGV[2] ms
-- returns OK
-- events  none
redis.call('HDEL', KEYS[1], '~')
redis.call('HSET', KEYS[1], 'card', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 'OK'

-- known.lua: makes queues known to all, also at maxmemory.
-- KEYS[1] queues set
-- ARGV[1..] names of queues
-- returns OK
-- events  none
redis.call('SREM', KEYS[1], '~')
for i = 1, #ARGV do redis.call('SADD', KEYS[1], ARGV[i]) end
return 'OK'

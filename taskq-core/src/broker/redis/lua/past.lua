-- past.lua: what is past its time: answers sessions and record buckets, drops waiters, dead messages and events; a bounded share at a time.
-- KEYS[1] leases zset  KEYS[2] records zset  KEYS[3] waiters hash  KEYS[4] dead zset  KEYS[5] meta hash  KEYS[6] events stream
-- ARGV[1] clock offset ms  ARGV[2..4] dead set: ms, entries, bytes at most  ARGV[5] events: ms at most
-- returns {{session id, …} oldest first, at most eight, {second of a bucket, …}}
-- events  none
redis.call('HDEL', KEYS[5], '~')
local sessions = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. now, 'LIMIT', '0', '8')
local wrong = mistyped(2, 2, 'zset') or mistyped(3, 3, 'hash') or mistyped(4, 4, 'zset') or mistyped(6, 6, 'stream')
if wrong then return wrong end
trim(KEYS[4], KEYS[5], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]))
redis.call('XTRIM', KEYS[6], 'MINID', string.format('%.0f', now - ARGV[5]))
if redis.call('EXISTS', KEYS[3]) == 1 then
  local seen = redis.call('HSCAN', KEYS[3], redis.call('HGET', KEYS[5], 'waiters_at') or '0', 'COUNT', '500')
  for i = 1, #seen[2], 2 do
    local waits = false
    for deadline in string.gmatch(seen[2][i + 1], '(%d+):%S+') do waits = waits or tonumber(deadline) >= now end
    if not waits then redis.call('HDEL', KEYS[3], seen[2][i]) end
  end
  redis.call('HSET', KEYS[5], 'waiters_at', seen[1])
end
return {sessions, redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', math.floor(now / 1000), 'LIMIT', '0', '100')}

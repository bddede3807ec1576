-- revoke.lua: adds to what is revoked, all or nothing; what is past its time leaves first.
-- KEYS[1] meta hash  KEYS[2] revoked zset
-- ARGV[1] clock offset ms  ARGV[2] ms each is kept  ARGV[3] at most so many  ARGV[4..] per one: its member, ms it is due at (or 0)
-- returns {OK | FULL, how many are kept}
-- events  none
local wrong = mistyped(1, 1, 'hash') or mistyped(2, 2, 'zset')
if wrong then return wrong end
redis.call('HDEL', KEYS[1], '~')
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local fresh, seen, set, there = 0, {}, {}, redis.call('ZCARD', KEYS[2])
for a = 4, #ARGV, 2 do
  local member, told = ARGV[a], 'm' .. string.sub(ARGV[a], 2)
  -- That its end was told is not forgotten.
  if string.sub(member, 1, 1) == 'i' and redis.call('ZSCORE', KEYS[2], told) then member = told end
  if not seen[member] and not redis.call('ZSCORE', KEYS[2], member) then fresh = fresh + 1 end
  seen[member] = true
  set[#set + 1] = string.format('%.0f', math.max(now, tonumber(ARGV[a + 1])) + ARGV[2])
  set[#set + 1] = member
end
if there + fresh > tonumber(ARGV[3]) then return {'FULL', there} end
redis.call('ZADD', KEYS[2], 'GT', unpack(set))
local last = redis.call('ZREVRANGE', KEYS[2], '0', '0', 'WITHSCORES')[2]
redis.call('PEXPIRE', KEYS[2], string.format('%.0f', last - now))
redis.call('HSET', KEYS[1], 'revoked', serial(KEYS[1]))
return {'OK', there + fresh}

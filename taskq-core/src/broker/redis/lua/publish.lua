-- publish.lua: makes tasks known to all, with the time they were last seen; forgets what nobody offered for long.
-- KEYS[1] registry hash
-- ARGV[1] clock offset ms  ARGV[2] ms after which an entry is forgotten  ARGV[3..] per task: name, JSON object
-- returns OK
-- events  none
redis.call('HDEL', KEYS[1], '~')
for i = 3, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], '{"seen":' .. string.format('%.0f', now) .. ',' .. string.sub(ARGV[i + 1], 2))
end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local seen = tonumber(string.match(all[i + 1], '^{"seen":(%d+)'))
  if not seen or seen < now - ARGV[2] then redis.call('HDEL', KEYS[1], all[i]) end
end
return 'OK'

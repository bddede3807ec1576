-- unwatch.lua: who waited waits no more.
-- KEYS[1] waiters hash
-- ARGV[1] channel  ARGV[2..] ids
-- returns OK
-- events  none
redis.call('HDEL', KEYS[1], '~')
for i = 2, #ARGV do
  local others = {}
  for deadline, channel in string.gmatch(redis.call('HGET', KEYS[1], ARGV[i]) or '', '(%d+):(%S+)') do
    if channel ~= ARGV[1] then others[#others + 1] = deadline .. ':' .. channel end
  end
  if #others > 0 then redis.call('HSET', KEYS[1], ARGV[i], table.concat(others, ' ')) else redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return 'OK'

-- give.lua: moves deliveries of an orphan back to their lists, newest first, each removed right after its push.
-- One crash more unless its own worker gave the session up; at the limit the message is dead.
-- KEYS[1] orphan hash  KEYS[2] suspects list  KEYS[3] dead zset  KEYS[4] bell zset  KEYS[5] records zset
-- KEYS[6..15] ready, ready:1 … ready:9 lists  KEYS[16] meta hash  KEYS[17] events stream  KEYS[18] totals hash  KEYS[19] waiters hash
-- KEYS[20..] buckets (hash) and records of their own (string)
-- ARGV[1] clock offset ms  ARGV[2] retention s  ARGV[3] retention of DEAD s  ARGV[4..6] dead set: ms, entries, bytes at most
-- ARGV[7] event: its header  ARGV[8] tags
-- ARGV[9..] per tag: tag, crash limit, 1 if every return is a death, header for the dead set, id, record (or ''), its second (or ''), index of its bucket in KEYS (or 0), of its own record (or 0), event row (or '')
-- returns {tags returned, tags dead}
-- events  task-rejected
redis.call('HDEL', KEYS[1], '~')
local wrong = mistyped(2, 2, 'list') or mistyped(3, 3, 'zset') or mistyped(5, 5, 'zset') or mistyped(6, 15, 'list')
  or mistyped(16, 16, 'hash') or mistyped(17, 17, 'stream') or mistyped(18, 19, 'hash')
if wrong then return wrong end
local charge, returned, dead, rows = 1 - redis.call('HEXISTS', KEYS[1], 'x'), 0, 0, {}
local over, finals = {}, {}
for i = 0, ARGV[8] - 1 do
  local a = 9 + 10 * i
  local tag, limit, deadly, header, id, record, second, bucket, own =
    ARGV[a], tonumber(ARGV[a + 1]), ARGV[a + 2] == '1', ARGV[a + 3], ARGV[a + 4], ARGV[a + 5], ARGV[a + 6], tonumber(ARGV[a + 7]), tonumber(ARGV[a + 8])
  local message = redis.call('HGET', KEYS[1], tag)
  if message then
    local priority, crashes, body = string.sub(message, 1, 1), string.sub(message, 2, 2) + charge, string.sub(message, 3)
    if crashes > 9 then crashes = 9 end
    if deadly or crashes >= limit then
      if record ~= '' then
        if bucket > 0 and mistyped(bucket, bucket, 'hash') then bucket = 0 end
        if own > 0 and mistyped(own, own, 'string') then own = 0 end
        local stands = bucket > 0 and final(redis.call('HGET', KEYS[bucket], id)) or own > 0 and final(redis.call('GET', KEYS[own]))
        if bucket > 0 and not stands then
          redis.call('HSET', KEYS[bucket], id, record)
          keep(KEYS[5], KEYS[bucket], second, tonumber(ARGV[2]))
        end
        if own > 0 and not stands then redis.call('SET', KEYS[own], record, 'EX', ARGV[3]) end
        over[#over + 1] = id
        finals[#finals + 1] = record
      end
      bury(KEYS[3], KEYS[16], header .. '\n' .. body)
      dead = dead + 1
    elseif crashes > 0 and crashes == limit - 1 then
      redis.call('LPUSH', KEYS[2], priority .. crashes .. body)
      returned = returned + 1
    else
      redis.call('RPUSH', KEYS[6 + priority], priority .. crashes .. body)
      returned = returned + 1
    end
    rows[#rows + 1] = ARGV[a + 9]
    redis.call('HDEL', KEYS[1], tag)
  end
end
if dead > 0 then trim(KEYS[3], KEYS[16], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])) end
count(KEYS[18], 'returned', returned)
count(KEYS[18], 'dead', dead)
count(KEYS[18], 'crashed', charge * (returned + dead))
local told = table.concat(rows)
if told ~= '' then tell(KEYS[17], KEYS[16], ARGV[7] .. told) end
wake(KEYS[19], over, finals)
if returned > 0 then redis.pcall('ZADD', KEYS[4], '0', '1') end
return {returned, dead}

-- purge.lua: ends messages that were read before, each if it still lies where it did and comes next there: REVOKED.
-- KEYS[1] suspects list  KEYS[2..11] ready, ready:1 … ready:9 lists  KEYS[12] delayed zset  KEYS[13] records zset
-- KEYS[14] meta hash  KEYS[15] events stream  KEYS[16] totals hash  KEYS[17] waiters hash
-- KEYS[18..] buckets (hash) and records of their own (string)
-- ARGV[1] clock offset ms  ARGV[2] retention s  ARGV[3] event: its header  ARGV[4] messages
-- ARGV[5..] per message: index of its place in KEYS, message as it lies there, id (or ''), record (or ''), its second (or ''), index of its bucket in KEYS (or 0), of its own record (or 0), event row (or '')
-- returns how many it ended
-- events  task-revoked
redis.call('HDEL', KEYS[14], '~')
local wrong = mistyped(1, 11, 'list') or mistyped(12, 13, 'zset') or mistyped(14, 14, 'hash') or mistyped(15, 15, 'stream')
  or mistyped(16, 17, 'hash')
if wrong then return wrong end
local ended, rows, over, finals = 0, {}, {}, {}
local function over_it(i)
  local a = 5 + 8 * i
  local id, record, second, bucket, own = ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], tonumber(ARGV[a + 5]), tonumber(ARGV[a + 6])
  if bucket > 0 and mistyped(bucket, bucket, 'hash') then bucket = 0 end
  if own > 0 and mistyped(own, own, 'string') then own = 0 end
  local there = bucket > 0 and redis.call('HGET', KEYS[bucket], id)
  local apart = own > 0 and redis.call('GET', KEYS[own])
  local stands = final(apart) and apart or final(there) and there
  if record ~= '' and not stands then
    if bucket > 0 then
      redis.call('HSET', KEYS[bucket], id, record)
      keep(KEYS[13], KEYS[bucket], second, tonumber(ARGV[2]))
    end
    if apart then redis.call('SET', KEYS[own], record, 'KEEPTTL')
    elseif own > 0 and bucket == 0 then redis.call('SET', KEYS[own], record, 'EX', ARGV[2]) end
  end
  if record ~= '' then
    over[#over + 1] = id
    finals[#finals + 1] = stands or record
  end
  if not stands then rows[#rows + 1] = ARGV[a + 7] end
  ended = ended + 1
end

local wanted = {}
for i = 0, ARGV[4] - 1 do
  local place, message = tonumber(ARGV[5 + 8 * i]), ARGV[6 + 8 * i]
  if place == 12 then
    if redis.call('ZSCORE', KEYS[12], message) then
      over_it(i)
      redis.call('ZREM', KEYS[12], message)
    end
  else
    local here = wanted[place] or {}
    here[message] = here[message] or {}
    table.insert(here[message], i)
    wanted[place] = here
  end
end
-- What others claimed meanwhile came from the same end: what is left of ours still comes next.
for k = 1, 11 do
  local here = wanted[k]
  while here do
    local message = redis.call('LINDEX', KEYS[k], '-1')
    local i = message and here[message] and table.remove(here[message])
    if not i then break end
    over_it(i)
    redis.call('RPOP', KEYS[k])
  end
end
count(KEYS[16], 'revoked', ended)
local told = table.concat(rows)
if told ~= '' then tell(KEYS[15], KEYS[14], ARGV[3] .. told) end
wake(KEYS[17], over, finals)
return ended

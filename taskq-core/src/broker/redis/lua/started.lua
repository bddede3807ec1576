-- started.lua: tells that runs began which are still under way, and writes their STARTED records, progress included; only of what the session holds.
-- KEYS[1] session hash  KEYS[2] records zset  KEYS[3] meta hash  KEYS[4] events stream  KEYS[5..] buckets (hash) and records of their own (string)
-- ARGV[1] clock offset ms  ARGV[2] retention s  ARGV[3] event: its header  ARGV[4] runs
-- ARGV[5..] per run: tag, event row (or ''), id, record (or ''), its second (or ''), index of its bucket in KEYS (or 0), of its own record (or 0)
-- returns how many are held
-- events  task-received, task-started
redis.call('HDEL', KEYS[1], '~')
local wrong = mistyped(2, 2, 'zset') or mistyped(3, 3, 'hash') or mistyped(4, 4, 'stream')
if wrong then return wrong end
local rows, held = {}, 0
for i = 0, ARGV[4] - 1 do
  local a = 5 + 7 * i
  local id, record, bucket, own = ARGV[a + 2], ARGV[a + 3], tonumber(ARGV[a + 5]), tonumber(ARGV[a + 6])
  if redis.call('HEXISTS', KEYS[1], ARGV[a]) == 1 then
    held = held + 1
    if ARGV[a + 1] ~= '' then rows[#rows + 1] = ARGV[a + 1] end
    if record ~= '' then
      if bucket > 0 and mistyped(bucket, bucket, 'hash') then bucket = 0 end
      if own > 0 and mistyped(own, own, 'string') then own = 0 end
      local stands = bucket > 0 and final(redis.call('HGET', KEYS[bucket], id)) or own > 0 and final(redis.call('GET', KEYS[own]))
      if bucket > 0 and not stands then
        redis.call('HSET', KEYS[bucket], id, record)
        keep(KEYS[2], KEYS[bucket], ARGV[a + 4], tonumber(ARGV[2]))
      elseif own > 0 and not stands then
        redis.call('SET', KEYS[own], record, 'EX', ARGV[2])
      end
    end
  end
end
if #rows > 0 then tell(KEYS[4], KEYS[3], ARGV[3] .. table.concat(rows)) end
return held

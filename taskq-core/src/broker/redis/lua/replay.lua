-- replay.lua: puts dead messages back into their lists, each only if it is still dead. Its first write is one that grows, so that a full server refuses it.
-- KEYS[1] dead zset  KEYS[2] meta hash  KEYS[3] records zset  KEYS[4] bell zset  KEYS[5] events stream  KEYS[6] totals hash
-- KEYS[7..16] ready, ready:1 … ready:9 lists  KEYS[17] revoked zset  KEYS[18..] buckets (hash) and records of their own (string)
-- ARGV[1] clock offset ms  ARGV[2] retention s  ARGV[3] event: its header  ARGV[4] messages
-- ARGV[5..] per message: its entry, priority, message in its new form, id, record (or ''), its second (or ''), index of its bucket in KEYS (or 0), of its own record (or 0), event row
-- returns how many were still dead
-- events  task-sent
local wrong = mistyped(1, 1, 'zset') or mistyped(2, 2, 'hash') or mistyped(3, 3, 'zset') or mistyped(5, 5, 'stream')
  or mistyped(6, 6, 'hash') or mistyped(7, 16, 'list') or mistyped(17, 17, 'zset')
if wrong then return wrong end
local rows, unrevoked = {}, false
for i = 0, ARGV[4] - 1 do
  local a = 5 + 9 * i
  local entry, id, record, bucket, own = ARGV[a], ARGV[a + 3], ARGV[a + 4], tonumber(ARGV[a + 6]), tonumber(ARGV[a + 7])
  if redis.call('ZSCORE', KEYS[1], entry) then
    redis.call('LPUSH', KEYS[7 + ARGV[a + 1]], ARGV[a + 2])
    if record ~= '' then
      if bucket > 0 and mistyped(bucket, bucket, 'hash') then bucket = 0 end
      if own > 0 and mistyped(own, own, 'string') then own = 0 end
      local there, alone = bucket > 0 and redis.call('HGET', KEYS[bucket], id), own > 0 and redis.call('GET', KEYS[own])
      -- Another message of the same id may have succeeded, or be under way: that stands.
      local stands = false
      for _, before in ipairs({there or '', alone or ''}) do
        local state = string.sub(before, 11, 13)
        stands = stands or state == 'SUC' or state == 'REV'
      end
      stands = stands or ((there or alone) and not final(there) and not final(alone))
      if not stands and bucket > 0 then
        redis.call('HSET', KEYS[bucket], id, record)
        keep(KEYS[3], KEYS[bucket], ARGV[a + 5], tonumber(ARGV[2]))
        if own > 0 then redis.call('UNLINK', KEYS[own]) end
      elseif not stands and own > 0 and (not alone or final(alone)) then
        redis.call('SET', KEYS[own], record, 'EX', ARGV[2])
      end
    end
    -- Who replays it wants it to run.
    if redis.call('ZREM', KEYS[17], 'i' .. id, 'm' .. id) > 0 then unrevoked = true end
    leave(KEYS[1], KEYS[2], entry)
    rows[#rows + 1] = ARGV[a + 8]
  end
end
if #rows == 0 then return 0 end
if unrevoked then redis.call('HSET', KEYS[2], 'revoked', serial(KEYS[2])) end
count(KEYS[6], 'sent', #rows)
tell(KEYS[5], KEYS[2], ARGV[3] .. table.concat(rows))
redis.pcall('ZADD', KEYS[4], '0', '1')
return #rows

-- mark.lua: writes REVOKED over records that are there and not final, tells it and wakes who waits.
-- KEYS[1] records zset  KEYS[2] revoked zset  KEYS[3] meta hash  KEYS[4] events stream  KEYS[5] waiters hash
-- KEYS[6..] per task: its bucket (hash), its own record (string)
-- ARGV[1] clock offset ms  ARGV[2] retention s  ARGV[3] event: its header  ARGV[4..] per task: id, record, its second (or ''), event row
-- returns ids of those it wrote
-- events  task-revoked
local wrong = mistyped(1, 2, 'zset') or mistyped(3, 3, 'hash') or mistyped(4, 4, 'stream') or mistyped(5, 5, 'hash')
if wrong then return wrong end
redis.call('HDEL', KEYS[3], '~')
local marked, records, rows, told = {}, {}, {}, false
for i = 0, (#ARGV - 3) / 4 - 1 do
  local bucket, own, a = 6 + 2 * i, 7 + 2 * i, 4 + 4 * i
  local id, record, revoked = ARGV[a], ARGV[a + 1], 'i' .. ARGV[a]
  local there = not mistyped(bucket, bucket, 'hash') and redis.call('HGET', KEYS[bucket], id)
  local apart = not mistyped(own, own, 'string') and redis.call('GET', KEYS[own])
  local until_ = redis.call('ZSCORE', KEYS[2], revoked)
  -- One that is not revoked any more was put back by a replay meanwhile: it runs.
  local stands = until_ or redis.call('ZSCORE', KEYS[2], 'm' .. id)
  if stands and (there or apart) and not final(there) and not final(apart) then
    if there then
      redis.call('HSET', KEYS[bucket], id, record)
      keep(KEYS[1], KEYS[bucket], ARGV[a + 2], tonumber(ARGV[2]))
    end
    if apart then redis.call('SET', KEYS[own], record, 'KEEPTTL') end
    marked[#marked + 1] = id
    records[#records + 1] = record
    rows[#rows + 1] = ARGV[a + 3]
    if until_ then
      redis.call('ZADD', KEYS[2], until_, 'm' .. id)
      redis.call('ZREM', KEYS[2], revoked)
      told = true
    end
  end
end
if told then redis.call('HSET', KEYS[3], 'revoked', serial(KEYS[3])) end
if #marked > 0 then tell(KEYS[4], KEYS[3], ARGV[3] .. table.concat(rows)) end
wake(KEYS[5], marked, records)
return marked

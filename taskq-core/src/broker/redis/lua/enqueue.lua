-- enqueue.lua: accepts a batch, once per number. Its first write must be one that grows, so that a full server refuses it.
-- KEYS[1] producer string  KEYS[2] bell zset  KEYS[3] delayed zset  KEYS[4] records zset
-- KEYS[5..14] ready, ready:1 … ready:9 lists  KEYS[15..] record buckets (hash), then records of their own (string)
-- ARGV[1] clock offset ms  ARGV[2] number of the batch  ARGV[3] retention s  ARGV[4] messages  ARGV[5] buckets  ARGV[6] own records
-- ARGV[7..] per message: R | I | A (now, in ms, at ms), that time, priority, message
--           per bucket: its second, pairs, then per pair: id, record;  per own record: TTL s, id, record
-- returns OK | APPLIED (this number was done before)
-- events  none yet
local number, messages, buckets, own = tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local last = tonumber(redis.call('GET', KEYS[1]) or 0)
if number <= last then return 'APPLIED' end
local wrong = mistyped(15, 14 + buckets, 'hash') or mistyped(15 + buckets, 14 + buckets + own, 'string')
if not wrong and buckets > 0 then wrong = mistyped(4, 4, 'zset') end
if wrong then return wrong end

local ready, delayed, earliest = {}, {}, nil
for i = 0, messages - 1 do
  local kind, at, priority, message = ARGV[7 + 4 * i], tonumber(ARGV[8 + 4 * i]), ARGV[9 + 4 * i], ARGV[10 + 4 * i]
  local due = (kind == 'I' and now + at) or (kind == 'A' and at) or now
  if due > now then
    delayed[#delayed + 1] = due
    delayed[#delayed + 1] = priority .. '0' .. message
    if not earliest or due < earliest then earliest = due end
  else
    local list = ready[priority] or {}
    list[#list + 1] = message
    ready[priority] = list
  end
end
-- Only the keys that this batch writes: each look costs.
if #delayed > 0 then wrong = mistyped(3, 3, 'zset') end
for priority in pairs(ready) do wrong = wrong or mistyped(5 + priority, 5 + priority, 'list') end
if wrong then return wrong end
local ring = next(ready) ~= nil
for priority, list in pairs(ready) do redis.call('LPUSH', KEYS[5 + priority], unpack(list)) end
if #delayed > 0 then
  local first = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
  if not first[2] or earliest < tonumber(first[2]) then ring = true end
  redis.call('ZADD', KEYS[3], unpack(delayed))
end

local at = 7 + 4 * messages
for b = 1, buckets do
  local bucket, second, pairs_ = KEYS[14 + b], ARGV[at], tonumber(ARGV[at + 1])
  local ids, fresh = {}, {}
  for p = 0, pairs_ - 1 do ids[p + 1] = ARGV[at + 2 + 2 * p] end
  local there = redis.call('HMGET', bucket, unpack(ids))
  for p = 1, pairs_ do
    if not there[p] then fresh[#fresh + 1] = ids[p]; fresh[#fresh + 1] = ARGV[at + 1 + 2 * p] end
  end
  if #fresh > 0 then redis.call('HSET', bucket, unpack(fresh)) end
  keep(KEYS[4], bucket, second, tonumber(ARGV[3]))
  at = at + 2 + 2 * pairs_
end
for o = 1, own do
  redis.call('SET', KEYS[14 + buckets + o], ARGV[at + 2], 'NX', 'EX', ARGV[at])
  at = at + 3
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', 60000)
if ring then redis.pcall('ZADD', KEYS[2], '0', '1') end
return 'OK'

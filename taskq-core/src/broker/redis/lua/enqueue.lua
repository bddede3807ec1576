-- enqueue.lua: accepts a batch, once per number. Its first write must be one that grows, so that a full server refuses it.
-- KEYS[1] producer string: number of the last batch, and what is returned behind OK  KEYS[2] bell zset  KEYS[3] delayed zset  KEYS[4] records zset
-- KEYS[5..14] ready, ready:1 … ready:9 lists  KEYS[15] meta hash  KEYS[16] events stream  KEYS[17] totals hash
-- KEYS[18..] record buckets (hash), then records of their own (string), then idempotency keys (string)
-- ARGV[1] clock offset ms  ARGV[2] number of the batch  ARGV[3] retention s  ARGV[4] messages  ARGV[5] buckets  ARGV[6] own records
-- ARGV[7] idempotency keys  ARGV[8] event: header and the rows of messages without such a key (or '')
-- ARGV[9..] per message: R | I | A (now, in ms, at ms), that time, priority, message
--           per bucket: its second, pairs, then per pair: id, record;  per own record: TTL s, id, record
--           per idempotency key: place of its message, id, ms it is held, event row (or '')
-- returns {OK | APPLIED (this number was done before), place and id that holds its key of each message not put in …}
-- events  task-sent
local number, messages, buckets, own, keyed =
  tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local once, at = 17 + buckets + own, 9 + 4 * messages
local stored = redis.call('GET', KEYS[1]) or '0'
local last = tonumber(string.match(stored, '^%d+'))
if number <= last then
  -- As it was answered: the keys that it met may have passed to others since, or to nobody.
  local out = {'APPLIED'}
  if number == last then for word in string.gmatch(stored, ' (%S+)') do out[#out + 1] = word end end
  return out
end
local wrong = mistyped(15, 15, 'hash') or mistyped(16, 16, 'stream') or mistyped(17, 17, 'hash')
  or mistyped(18 + buckets, once + keyed, 'string')
if wrong then return wrong end

-- Reading what is there also finds a key of the wrong type before the first write.
local k, there, kept_till = at, {}, {}
for b = 1, buckets do
  local ids = {}
  for p = 0, ARGV[k + 1] - 1 do ids[p + 1] = ARGV[k + 2 + 2 * p] end
  there[b] = redis.call('HMGET', KEYS[17 + b], unpack(ids))
  kept_till[b] = tonumber(redis.call('ZSCORE', KEYS[4], ARGV[k]) or 0)
  k = k + 2 + 2 * #ids
end
-- What comes under a key that is held is not put in, whoever holds it; of two in one batch the first does.
local kept, out, here, entry = {}, {'OK'}, {}, ARGV[8]
k = k + 3 * own
for o = 1, keyed do
  local key, place, id = KEYS[once + o], ARGV[k + 4 * o - 4], ARGV[k + 4 * o - 3]
  local before = redis.call('GET', key)
  local holder = before or here[key]
  if holder then
    kept[tonumber(place)] = true
    if before or holder ~= id then kept[id] = true end
    out[#out + 1] = place
    out[#out + 1] = holder
  else
    here[key] = id
    entry = entry .. ARGV[k + 4 * o - 1]
  end
end

local ready, delayed, earliest, sent = {}, {}, nil, 0
for i = 0, messages - 1 do
  if not kept[i] then
    local kind, time, priority, message = ARGV[9 + 4 * i], tonumber(ARGV[10 + 4 * i]), ARGV[11 + 4 * i], ARGV[12 + 4 * i]
    local due = (kind == 'I' and now + time) or (kind == 'A' and time) or now
    sent = sent + 1
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
end
-- Only the keys that this batch writes: each look costs. A single list is the first that is written, and fails by itself.
local first = next(ready)
local ring = first ~= nil
if #delayed > 0 then wrong = mistyped(3, 3, 'zset') end
if ring and next(ready, first) then
  for priority in pairs(ready) do wrong = wrong or mistyped(5 + priority, 5 + priority, 'list') end
end
if wrong then return wrong end
for priority, list in pairs(ready) do redis.call('LPUSH', KEYS[5 + priority], unpack(list)) end
if #delayed > 0 then
  local earlier = redis.call('ZRANGE', KEYS[3], '0', '0', 'WITHSCORES')
  if not earlier[2] or earliest < tonumber(earlier[2]) then ring = true end
  redis.call('ZADD', KEYS[3], unpack(delayed))
end

for b = 1, buckets do
  local bucket, second, pairs_, fresh = KEYS[17 + b], ARGV[at], tonumber(ARGV[at + 1]), {}
  for p = 1, pairs_ do
    local id = ARGV[at + 2 * p]
    if not there[b][p] and not kept[id] then fresh[#fresh + 1] = id; fresh[#fresh + 1] = ARGV[at + 1 + 2 * p] end
  end
  if #fresh > 0 then
    redis.call('HSET', bucket, unpack(fresh))
    if kept_till[b] < math.floor(now / 1000) + ARGV[3] then keep(KEYS[4], bucket, second, tonumber(ARGV[3])) end
  end
  at = at + 2 + 2 * pairs_
end
for o = 1, own do
  if not kept[ARGV[at + 1]] then redis.call('SET', KEYS[17 + buckets + o], ARGV[at + 2], 'NX', 'EX', ARGV[at]) end
  at = at + 3
end
for o = 1, keyed do
  if not kept[ARGV[at + 1]] then redis.call('SET', KEYS[once + o], ARGV[at + 1], 'NX', 'PX', ARGV[at + 2]) end
  at = at + 4
end
if sent > 0 then
  count(KEYS[17], 'sent', sent)
  tell(KEYS[16], KEYS[15], entry)
end
redis.call('SET', KEYS[1], ARGV[2] .. (out[2] and ' ' .. table.concat(out, ' ', 2) or ''), 'PX', '60000')
if ring then redis.pcall('ZADD', KEYS[2], '0', '1') end
return out

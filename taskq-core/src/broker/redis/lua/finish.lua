-- finish.lua: ends a batch of deliveries, once per number; the only place where a session gives them up on purpose.
-- KEYS[1] session hash  KEYS[2] delayed zset  KEYS[3] dead zset  KEYS[4] suspects list  KEYS[5] bell zset  KEYS[6] records zset
-- KEYS[7..16] ready, ready:1 … ready:9 lists  KEYS[17] meta hash  KEYS[18] events stream  KEYS[19] totals hash  KEYS[20] waiters hash
-- KEYS[21..] record buckets (hash), then records of their own (string)
-- ARGV[1] clock offset ms  ARGV[2] number of the finish  ARGV[3] newest claim among the tags  ARGV[4] retention s
-- ARGV[5..7] dead set: ms, entries, bytes at most
-- ARGV[8..13] how many tags, delayed, returned, dead, buckets, own records  ARGV[14] 1 if a suspect is among the tags
-- ARGV[15] event: its header, with the rows of all others (or '')  ARGV[16..20] how many succeeded, failed, were retried, are dead, revoked
-- ARGV[21..] tags;  per delayed: wait ms, marked message, or '' and the tag of one that stays as it is;
--            per returned: tag, index of its list in KEYS;  per dead: tag, its header
--            per bucket: its second, pairs, then per pair: id, record;  per own record: TTL s, id, record
--            1 if the event has rows of others;  per one that was revoked: id, event row: told unless whoever revoked it has told it
-- returns {OK, tags dropped} | {APPLIED} | {LOST} | {BADRECORD, index in KEYS}
-- events  task-succeeded, task-failed, task-retried, task-rejected, task-revoked, with task-received and task-started
local held, no = redis.call('HMGET', KEYS[1], 'c', 'f'), tonumber(ARGV[2])
if not held[1] or tonumber(held[1]) < tonumber(ARGV[3]) then return {'LOST'} end
if tonumber(held[2]) == no + 1 then return {'APPLIED'} end
if tonumber(held[2]) ~= no then return {'LOST'} end
local tags, delayed, returned, dead, buckets, own =
  tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
local wrong = mistyped(2, 3, 'zset') or mistyped(6, 6, 'zset') or mistyped(17, 17, 'hash')
  or mistyped(18, 18, 'stream') or mistyped(19, 20, 'hash')
if returned > 0 then wrong = wrong or mistyped(4, 4, 'list') or mistyped(7, 16, 'list') end
if wrong then return wrong end
for k = 21, 20 + buckets do if mistyped(k, k, 'hash') then return {'BADRECORD', k} end end
for k = 21 + buckets, 20 + buckets + own do if mistyped(k, k, 'string') then return {'BADRECORD', k} end end

redis.call('HDEL', KEYS[1], '~')
local at, ring = 21 + tags, ARGV[14] == '1' and redis.call('EXISTS', KEYS[4]) == 1
local r, stands = at + 3 * delayed + 2 * returned + 2 * dead, {}
local over, finals = {}, {}
for b = 1, buckets do
  local bucket, second, pairs_ = KEYS[20 + b], ARGV[r], tonumber(ARGV[r + 1])
  local ids, set = {}, {}
  for p = 0, pairs_ - 1 do ids[p + 1] = ARGV[r + 2 + 2 * p] end
  local there = redis.call('HMGET', bucket, unpack(ids))
  for p = 1, pairs_ do
    local id, record = ids[p], ARGV[r + 1 + 2 * p]
    if final(there[p]) then stands[id] = true
    else set[#set + 1] = id; set[#set + 1] = record end
    if final(record) then over[#over + 1] = id; finals[#finals + 1] = final(there[p]) and there[p] or record end
  end
  if #set > 0 then redis.call('HSET', bucket, unpack(set)) end
  keep(KEYS[6], bucket, second, tonumber(ARGV[4]))
  r = r + 2 + 2 * pairs_
end
for o = 1, own do
  local key, id, record = KEYS[20 + buckets + o], ARGV[r + 1], ARGV[r + 2]
  if stands[id] or final(redis.call('GET', key)) then stands[id] = true
  else redis.call('SET', key, record, 'EX', ARGV[r]) end
  if final(record) then over[#over + 1] = id; finals[#finals + 1] = record end
  r = r + 3
end

for _ = 1, delayed do
  local due, message = now + ARGV[at], ARGV[at + 1]
  if message == '' then message = redis.call('HGET', KEYS[1], ARGV[at + 2]) end
  if message then
    local first = redis.call('ZRANGE', KEYS[2], '0', '0', 'WITHSCORES')[2]
    if not first or due < tonumber(first) then ring = true end
    redis.call('ZADD', KEYS[2], due, message)
  end
  at = at + 3
end
for _ = 1, returned do
  local message = redis.call('HGET', KEYS[1], ARGV[at])
  if message then redis.call('RPUSH', KEYS[tonumber(ARGV[at + 1])], message); ring = true end
  at = at + 2
end
for _ = 1, dead do
  local message = redis.call('HGET', KEYS[1], ARGV[at])
  if message then bury(KEYS[3], KEYS[17], ARGV[at + 1] .. '\n' .. string.sub(message, 3)) end
  at = at + 2
end
if dead > 0 then trim(KEYS[3], KEYS[17], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])) end
for i, name in ipairs({'succeeded', 'failed', 'retried', 'dead', 'revoked'}) do count(KEYS[19], name, tonumber(ARGV[15 + i])) end
count(KEYS[19], 'returned', returned)
local rows = {ARGV[15]}
for p = r + 1, #ARGV, 2 do
  if not stands[ARGV[p]] then rows[#rows + 1] = ARGV[p + 1] end
end
-- A header alone tells nothing.
if #rows > 1 or ARGV[r] == '1' then tell(KEYS[18], KEYS[17], table.concat(rows)) end
wake(KEYS[20], over, finals)
local dropped = redis.call('HDEL', KEYS[1], unpack(ARGV, 21, 20 + tags))
redis.call('HSET', KEYS[1], 'f', no + 1)
if ring then redis.pcall('ZADD', KEYS[5], '0', '1') end
return {'OK', dropped}

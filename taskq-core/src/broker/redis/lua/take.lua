-- take.lua: a sweeper takes the store of a session past its lease and reads its newest deliveries; repeated until none is left.
-- KEYS[1] the sweeper's session hash  KEYS[2] the other session hash  KEYS[3] its orphan hash  KEYS[4] leases zset  KEYS[5] meta hash
-- ARGV[1] clock offset ms  ARGV[2] the sweeper's session id  ARGV[3] the other one  ARGV[4] bytes beyond the first message
-- returns {OK, 1 if its own worker gave it up, tag, marked message, …} newest first | {DONE} | {NO} (the sweeper may not, or there is nothing past)
-- events  none
redis.call('HDEL', KEYS[1], '~')
local lease = tonumber(redis.call('HGET', KEYS[5], 'lease'))
local since, mine = redis.call('HGET', KEYS[1], 's'), redis.call('ZSCORE', KEYS[4], ARGV[2])
if not lease or not since or now - since < lease or not mine or tonumber(mine) < now then return {'NO'} end
local its = redis.call('ZSCORE', KEYS[4], ARGV[3])
if not its or tonumber(its) >= now then return {'NO'} end
if redis.call('EXISTS', KEYS[3]) == 0 then
  if redis.call('EXISTS', KEYS[2]) == 0 then
    redis.call('ZREM', KEYS[4], ARGV[3])
    return {'DONE'}
  end
  redis.call('RENAME', KEYS[2], KEYS[3])
end
local tags = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[3])) do
  local tag = tonumber(field)
  if tag then tags[#tags + 1] = tag end
end
if #tags == 0 then
  redis.call('UNLINK', KEYS[3])
  redis.call('ZREM', KEYS[4], ARGV[3])
  return {'DONE'}
end
table.sort(tags, function(a, b) return a > b end)
for i = #tags, 1000, -1 do tags[i] = nil end
local held, room = redis.call('HMGET', KEYS[3], unpack(tags)), tonumber(ARGV[4])
local out = {'OK', redis.call('HEXISTS', KEYS[3], 'x')}
for i = 1, #tags do
  if i > 1 then
    room = room - #held[i]
    if room < 0 then break end
  end
  out[#out + 1] = tags[i]
  out[#out + 1] = held[i]
end
return out

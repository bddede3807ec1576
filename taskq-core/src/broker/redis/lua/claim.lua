-- claim.lua: moves up to n messages into a session, once per number; due delayed ones first join their list. With n 0 it takes nothing and uses the number up: no late copy takes anything.
-- KEYS[1] session hash  KEYS[2] delayed zset  KEYS[3] suspects list  KEYS[4] bell zset
-- KEYS[5..14] ready, ready:1 … ready:9 lists  KEYS[15] meta hash
-- ARGV[1] clock offset ms  ARGV[2] number of the claim  ARGV[3] n  ARGV[4] 1 if a suspect may come along  ARGV[5] bytes beyond the first message
-- returns {OK, now, serial of what is revoked or '', tag, marked message, …} (the same deliveries for the same number) | {ALL, the same} if nothing at all is left | {NONE, now, due ms that this session shall wake for or '', 1 if a suspect waits} | {PAUSED, now} | {LOST}
-- events  none
local claimed = redis.call('HGET', KEYS[1], 'c')
if not claimed then return {'LOST'} end
local no, n, room = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[5])
local base = no * 1000
if tonumber(claimed) == no then
  local tags = {}
  for i = 1, 999 do tags[i] = base + i end
  local held, out = redis.call('HMGET', KEYS[1], unpack(tags)), {'OK', now, redis.call('HGET', KEYS[15], 'revoked') or ''}
  for i = 1, 999 do
    if held[i] then out[#out + 1] = tags[i]; out[#out + 1] = held[i] end
  end
  return out
end
if tonumber(claimed) ~= no - 1 then return {'LOST'} end
if n == 0 then
  redis.call('HDEL', KEYS[1], '~')
  redis.call('HSET', KEYS[1], 'c', ARGV[2])
  return {'OK', now, ''}
end
local state = redis.call('HMGET', KEYS[15], 'paused', 'revoked')
if state[1] then return {'PAUSED', now} end

-- Mostly there is no other than the plain list: one look instead of one at each.
local others = redis.call('EXISTS', KEYS[2], KEYS[3], unpack(KEYS, 6, 14)) > 0
local due = others and redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', '0', n) or {}
-- The first write is one that frees, so that a full server takes it: without this it is a pop.
if #due > 0 then redis.call('HDEL', KEYS[1], '~') end
local promoted, size = 0, 0
local wrong = #due > 0 and mistyped(5, 14, 'list')
if wrong then return wrong end
for i, message in ipairs(due) do
  size = size + #message
  if i > 1 and size > room then break end
  local priority = tonumber(string.sub(message, 1, 1))
  redis.call('LPUSH', KEYS[5 + priority], message)
  redis.call('ZREM', KEYS[2], message)
  promoted = promoted + 1
end

-- pops from one list; a list of the wrong type ends the claim with what there is, or names the key
local got, from, bad = {}, {}, nil
local function pop(k)
  if #got >= n or bad then return end
  local popped = redis.pcall('RPOP', KEYS[k], n - #got)
  if popped and popped.err then
    bad = popped
    if string.find(popped.err, 'WRONGTYPE', 1, true) then bad = redis.error_reply('MISTYPED ' .. KEYS[k] .. ' can not be popped: ' .. popped.err) end
    return
  end
  for _, message in ipairs(popped or {}) do got[#got + 1] = message; from[#got] = k end
end
if others and ARGV[4] == '1' then
  local popped = redis.pcall('RPOP', KEYS[3])
  if popped and type(popped) == 'table' then
    if not string.find(popped.err, 'WRONGTYPE', 1, true) then return popped end
    return redis.error_reply('MISTYPED ' .. KEYS[3] .. ' can not be popped: ' .. popped.err)
  end
  if popped then got[1] = popped; from[1] = 3 end
end
if others and redis.call('EXISTS', unpack(KEYS, 6, 14)) > 0 then
  for priority = 9, 1, -1 do pop(5 + priority) end
end
pop(5)
if #got == 0 then
  if bad then return bad end
  if not others then return {'NONE', now, '', 0} end
  -- One session wakes for what is due next: the one that is told first, as long as it does not fill up.
  local due = redis.call('ZRANGE', KEYS[2], '0', '0', 'WITHSCORES')[2]
  if due and tonumber(due) < now + 1500 then
    local watch, held = due .. ' ' .. KEYS[1], redis.call('HGET', KEYS[15], 'watch')
    if not held or string.sub(held, 1, #due + 1) ~= due .. ' ' then redis.call('HSET', KEYS[15], 'watch', watch)
    elseif held ~= watch then due = nil end
  else
    due = nil
  end
  return {'NONE', now, due or '', redis.call('EXISTS', KEYS[3])}
end

local kept = #got
for i = 2, #got do
  room = room - #got[i]
  if room < 0 then kept = i - 1 break end
end
for i = #got, kept + 1, -1 do redis.call('RPUSH', KEYS[from[i]], got[i]) end
-- A list that gave less than was asked for is empty.
local emptied = #got < n and kept == #got and not bad
local set, out = {'c', ARGV[2]}, {'OK', now, state[2] or ''}
for i = 1, kept do
  local message = got[i]
  local a, b = string.byte(message, 1, 2)
  if not (a and b and a >= 48 and a <= 57 and b >= 48 and b <= 57) then message = (from[i] - 5) .. '0' .. message end
  set[#set + 1] = base + i
  set[#set + 1] = message
  out[#out + 1] = base + i
  out[#out + 1] = message
end
redis.call('HSET', KEYS[1], unpack(set))
local ring = promoted < #due or #due == n or not emptied and redis.call('EXISTS', unpack(KEYS, 5, 14)) > 0
if kept == n then
  -- This worker may be full now: another shall wake for what is due before one asks by itself.
  redis.call('HDEL', KEYS[15], 'watch')
  local due = others and not ring and redis.call('ZRANGE', KEYS[2], '0', '0', 'WITHSCORES')[2]
  ring = ring or due and tonumber(due) < now + 1500
end
if ring then redis.pcall('ZADD', KEYS[4], '0', '1') elseif not others then out[1] = 'ALL' end
return out

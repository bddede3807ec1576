-- look.lua: reads what is held back, waits or is delayed, what comes next first; takes nothing.
-- KEYS[1] suspects list  KEYS[2..11] ready, ready:1 … ready:9 lists  KEYS[12] delayed zset
-- ARGV[1] messages at most  ARGV[2] bytes beyond the first
-- returns {index of its place in KEYS, message as it lies there, …}
-- events  none
local wrong = mistyped(1, 11, 'list') or mistyped(12, 12, 'zset')
if wrong then return wrong end
local out, n, room = {}, tonumber(ARGV[1]), tonumber(ARGV[2])
local function add(k, message)
  if #out > 0 then room = room - #message end
  if #out == 2 * n or room < 0 then return false end
  out[#out + 1] = k
  out[#out + 1] = message
  return true
end
for place = 1, 11 do
  local k = place == 1 and 1 or 13 - place
  for i = 1, n do
    local message = redis.call('LINDEX', KEYS[k], -i)
    if not message then break end
    if not add(k, message) then return out end
  end
end
for i = 0, n - 1 do
  local message = redis.call('ZRANGE', KEYS[12], i, i)[1]
  if not message or not add(12, message) then return out end
end
return out

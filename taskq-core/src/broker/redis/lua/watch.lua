-- watch.lua: answers the records of tasks; who waits is woken when one that is not final becomes it.
-- KEYS[1] waiters hash  KEYS[2..] per task: its bucket (hash), its own record (string)
-- ARGV[1] clock offset ms  ARGV[2] ms to wait for  ARGV[3] channel  ARGV[4] waiters at most  ARGV[5..] per task: id
-- returns {now, record or '' of each}
-- events  none
local wrong = mistyped(1, 1, 'hash')
if wrong then return wrong end
local out, set, room = {now}, {}, tonumber(ARGV[4]) - redis.call('HLEN', KEYS[1])
for i = 5, #ARGV do
  local bucket, own = KEYS[2 * i - 8], KEYS[2 * i - 7]
  local record = redis.call('GET', own)
  if not final(record) then
    local newer = redis.call('HGET', bucket, ARGV[i])
    record = newer or record
  end
  out[#out + 1] = record or ''
  if not final(record) then
    -- Of two waits of one client the longer one counts.
    local others, n, until_ = {}, 0, now + ARGV[2]
    for deadline, channel in string.gmatch(redis.call('HGET', KEYS[1], ARGV[i]) or '', '(%d+):(%S+)') do
      if channel == ARGV[3] then
        until_ = math.max(until_, tonumber(deadline))
      elseif tonumber(deadline) >= now and n < 15 then
        others[#others + 1] = deadline .. ':' .. channel
        n = n + 1
      end
    end
    others[#others + 1] = string.format('%.0f', until_) .. ':' .. ARGV[3]
    if room > 0 or n > 0 then
      set[#set + 1] = ARGV[i]
      set[#set + 1] = table.concat(others, ' ')
      room = room - 1
    end
  end
end
-- A full server keeps no waiters; they read again.
if #set > 0 then redis.pcall('HSET', KEYS[1], unpack(set)) end
return out

-- discard.lua: drops dead messages. Its first write frees, so that a full server takes it.
-- KEYS[1] dead zset  KEYS[2] meta hash
-- ARGV[1..] entries
-- returns how many were still there
-- events  none
local wrong = mistyped(1, 1, 'zset') or mistyped(2, 2, 'hash')
if wrong then return wrong end
local dropped = 0
for i = 1, #ARGV do
  if leave(KEYS[1], KEYS[2], ARGV[i]) then dropped = dropped + 1 end
end
return dropped

-- Final records to those who wait for them: once, and only to those.
local function wake(waiters, ids, records)
  if #ids == 0 or redis.call('EXISTS', waiters) == 0 then return end
  local who, gone = redis.call('HMGET', waiters, unpack(ids)), {}
  for i, id in ipairs(ids) do
    if who[i] then
      for channel in string.gmatch(who[i], '%d+:(%S+)') do redis.pcall('PUBLISH', channel, id .. records[i]) end
      gone[#gone + 1] = id
    end
  end
  if #gone > 0 then redis.call('HDEL', waiters, unpack(gone)) end
end

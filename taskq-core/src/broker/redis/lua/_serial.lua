-- The number of a change: later than all before, also after the server came back with older data.
local function serial(meta)
  local before = tonumber(redis.call('HGET', meta, 'revoked') or 0) or 0
  return string.format('%.0f', math.max(now, before + 1))
end

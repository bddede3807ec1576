-- One entry for monitors. What the stream takes is looked at whenever another MiB has been told.
local function tell(events, meta, entry)
  if entry == '' then return end
  redis.call('XADD', events, 'MAXLEN', '~', '100000', '*', 'e', entry)
  local told = redis.pcall('HINCRBY', meta, 'told', #entry)
  if type(told) ~= 'number' then redis.call('HSET', meta, 'told', 0) return end
  if math.floor(told / 1048576) > math.floor((told - #entry) / 1048576) then
    local used, most = redis.call('MEMORY', 'USAGE', events), 33554432
    if used > most then redis.call('XTRIM', events, 'MAXLEN', '~', math.floor(redis.call('XLEN', events) * most / used * 0.9)) end
  end
end

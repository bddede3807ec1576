local function count(totals, name, n)
  if n > 0 then redis.pcall('HINCRBY', totals, name, n) end
end

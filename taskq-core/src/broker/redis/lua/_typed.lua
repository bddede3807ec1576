local function mistyped(first, last, kind)
  for k = first, last do
    local is = redis.call('TYPE', KEYS[k]).ok
    if is ~= 'none' and is ~= kind then
      return redis.error_reply('MISTYPED ' .. KEYS[k] .. ' is a ' .. is .. ', not a ' .. kind)
    end
  end
end

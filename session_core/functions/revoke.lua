-- Logout. allow-oom: a full store must not keep a stolen session alive.

-- Where a rotated id leads to, alive in its grace or buried without one; else nil or false.
local function successor_of(key, record)
  if not record then return nil end
  return record[AT.next] or record[AT.revoked] and redis.call('HMGET', key, 'heir')[1]
end

-- KEYS: session. ARGV: reason, actor, tombstone ms, events.
-- A rotated id takes its successors with it: in its grace, and after a rotation without one for as long as its tombstone
-- stays. Returns {'ok' | 'missing', now, record, digest of the id that the session had last}.
redis.register_function{
  function_name = 'session_revoke_v1',
  flags = {'allow-oom'},
  callback = function(keys, argv)
    local key, now = keys[1], now_ms()
    local tag = tag_of(key)
    local why = {kind = 'revoked', reason = argv[1], actor = argv[2], keep_ms = tonumber(argv[3]), kept = argv[4]}
    local first = load(key, now)
    local record, heir = first, successor_of(key, first)
    while heir do
      if not record[AT.revoked] then entomb(key, record, now, why) end
      key = session_key(tag, heir)
      record = load(key, now)
      heir = successor_of(key, record)
    end
    if record and record[AT.revoked] then
      redis.call('HSET', key, 'revoked', record[AT.revoked])
    elseif record then
      bury(key, record, now, why)
      settle(tag, record[AT.user])
    end
    if not first then return {'missing', now, false, ''} end
    return {'ok', now, load(keys[1], now), digest_of(key)}
  end,
}

-- KEYS: the user's sessions by creation. ARGV: cut-off ms, spared digest or '' (an old name will do), reason, actor, tombstone ms, events.
-- Sessions created after the cut-off are spared, so that a repeat does not end a later login. The event is written
-- each time: it is what makes a WAIT after a repeat meaningful. Returns {'ok', now, digests}.
redis.register_function{
  function_name = 'session_revoke_user_v1',
  flags = {'allow-oom'},
  callback = function(keys, argv)
    local cutoff, spared, now = tonumber(argv[1]), argv[2], now_ms()
    local why = {kind = 'revoked', reason = argv[3], actor = argv[4], keep_ms = tonumber(argv[5]), kept = argv[6]}
    local tag = tag_of(keys[1])
    local user = string.match(keys[1], '^user_sessions:{%d+}:(.*)$')
    if spared ~= '' then spared = digest_of(load_current(session_key(tag, spared), now)) end
    local gone = {}
    for _, digest in ipairs(digests_of(tag, user)) do
      local key = session_key(tag, digest)
      local record = load(key, now)
      if not record or record[AT.revoked] then
        unindex(tag, user, digest)
      elseif digest ~= spared and tonumber(record[AT.created]) < cutoff + 1 then
        bury(key, record, now, why)
        gone[#gone + 1] = digest
      end
    end
    settle(tag, user)
    announce(tag, why.kept, 'revoked_all', user, '', why.reason, why.actor)
    return {'ok', now, gone}
  end,
}

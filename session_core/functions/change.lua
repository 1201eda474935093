-- Rotation and metadata. Both are second steps: the client has read the session, and what it read must still hold.

-- KEYS: session, its new name. ARGV: version that was read, new version, wrap for the new id or '', grace ms,
-- tombstone ms, events. Returns {'ok' | 'missing' | 'revoked' | 'stale' | 'rotated', now, record}.
-- allow-oom: a new id after login or step-up is a matter of security, and the old name goes after the grace.
redis.register_function{
  function_name = 'session_rotate_v1',
  flags = {'allow-oom'},
  callback = function(keys, argv)
    local old, new, now = keys[1], keys[2], now_ms()
    local expected, version, wrap = argv[1], argv[2], argv[3]
    local grace, keep_ms, kept = tonumber(argv[4]), tonumber(argv[5]), argv[6]
    local tag, digest, successor = tag_of(old), digest_of(old), digest_of(new)

    local done = load(new, now)
    if done then
      redis.call('HSET', new, 'user', done[AT.user])
      return {done[AT.revoked] and 'revoked' or 'ok', now, done}
    end
    local record = load(old, now)
    if not record then return {'missing', now, false} end
    if record[AT.revoked] then return {'revoked', now, record} end
    if record[AT.next] then return {'rotated', now, false} end
    if record[AT.version] ~= expected then return {'stale', now, false} end

    local user, created, expires = record[AT.user], record[AT.created], tonumber(record[AT.expires])
    redis.call('RENAME', old, new)
    redis.call('HSET', new, 'version', version)
    if wrap ~= '' then redis.call('HSET', new, 'wrap', wrap) end
    unindex(tag, user, digest)
    index(tag, user, successor, created, expires)
    settle(tag, user)

    if grace > 0 then
      -- Holds nothing but the way to the new name, and the old key to what is sealed there.
      local until_ms = math.min(now + grace, expires)
      redis.call('HSET', old, 'user', user, 'created', created, 'expires', until_ms, 'limit', record[AT.limit],
        'seen', record[AT.seen], 'next', successor)
      if record[AT.wrap] then redis.call('HSET', old, 'wrap', record[AT.wrap]) end
      redis.call('PEXPIREAT', old, until_ms)
    else
      entomb(old, record, now, {reason = 'rotated', actor = '', keep_ms = keep_ms})
      redis.call('HSET', old, 'heir', successor) -- only a revocation follows it
    end
    announce(tag, kept, 'rotated', user, successor, '', handle_of(tag, digest))
    return {'ok', now, load(new, now)}
  end,
}

-- KEYS: session. ARGV: version that was read, new version, metadata, sealed or '', wrap or ''.
-- The version is a name that the client makes: finding our own again, as the present one or among those before it, means
-- that this very change was made already.
-- Returns {'ok' | 'missing' | 'revoked' | 'stale', now, record}.
local PAST = 16 -- versions that a session remembers: so many changes by others may come before a repeat does

-- The versions before this one, newest first.
local function past_of(key)
  return redis.call('HMGET', key, 'past')[1] or ''
end

redis.register_function('session_update_v1', function(keys, argv)
  local expected, version, meta, sealed, wrap, now = argv[1], argv[2], argv[3], argv[4], argv[5], now_ms()
  local key, record = load_current(keys[1], now)
  if not record then return {'missing', now, false} end
  if record[AT.revoked] then return {'revoked', now, record} end
  if record[AT.version] ~= version and record[AT.version] ~= expected then
    if not string.find(past_of(key), version, 1, true) then return {'stale', now, false} end
    redis.call('HSET', key, 'user', record[AT.user])
    return {'ok', now, record}
  end

  local past = string.sub(record[AT.version] .. ' ' .. past_of(key), 1, PAST * (#version + 1))
  redis.call('HSET', key, 'version', version, 'past', past, 'meta', meta)
  if sealed == '' then
    redis.call('HDEL', key, 'sealed', 'wrap')
  else
    redis.call('HSET', key, 'sealed', sealed)
    if wrap ~= '' then redis.call('HSET', key, 'wrap', wrap) end
  end
  return {'ok', now, load(key, now)}
end)

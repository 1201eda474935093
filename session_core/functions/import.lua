-- Sessions of the former system (docs/migration.md). Each is brought in once; a repeat answers the same.

-- KEYS: session. ARGV: user, created ms, seen ms, left ms, ttl ms, lifetime ms, metadata, sealed, wrap, version, limit,
-- policy, tombstone ms, events. The absolute limit counts from the login, which the former system did not look at.
-- A user who has more sessions than allowed loses the first to go, which may be this one.
-- Returns {'ok' | 'known' | 'missing' (past its absolute limit), how many were evicted}.
redis.register_function('session_import_v1', function(keys, argv)
  local key, now = keys[1], now_ms()
  local user, left, ttl, lifetime = argv[1], tonumber(argv[4]), argv[5], tonumber(argv[6])
  local count, policy, keep_ms, kept = tonumber(argv[11]), argv[12], tonumber(argv[13]), argv[14]
  local tag, digest = tag_of(key), digest_of(key)

  if load(key, now) then
    redis.call('HSET', key, 'user', user)
    return {'known', 0}
  end
  local created = math.min(tonumber(argv[2]), now) -- another machine's clock
  local seen = math.min(tonumber(argv[3]), now)
  local expires = math.min(now + left, created + lifetime)
  if expires <= now then return {'missing', 0} end

  sweep_bucket(tag, digest, now)
  sweep_user(tag, user, now)
  redis.call('HSET', key, 'user', user, 'created', created, 'expires', expires, 'limit', created + lifetime,
    'ttl', ttl, 'seen', seen, 'version', argv[10], 'meta', argv[7])
  if argv[8] ~= '' then redis.call('HSET', key, 'sealed', argv[8], 'wrap', argv[9]) end
  redis.call('PEXPIREAT', key, expires)
  index(tag, user, digest, created, expires)
  announce(tag, kept, 'created', user, digest, 'imported', '')
  local evicted = {}
  if count > 0 then
    evicted = make_room(tag, user, redis.call('ZCARD', by_expiry(tag, user)), count + 1, policy, now,
      {kind = 'evicted', reason = 'session limit', actor = 'import', keep_ms = keep_ms, kept = kept})
  end
  settle(tag, user)
  return {'ok', #evicted}
end)

-- KEYS: the note of an old id. ARGV: user, created ms, until ms.
-- It says which user's session the id is, and that it was imported: it outlives the session, so that a second import
-- does not bring back what was ended since. It grants nothing by itself.
redis.register_function('session_note_old_id_v1', function(keys, argv)
  redis.call('HSET', keys[1], 'user', argv[1], 'created', argv[2], 'expires', argv[3], 'limit', argv[3], 'seen', argv[2])
  redis.call('PEXPIREAT', keys[1], argv[3])
  return {'ok'}
end)

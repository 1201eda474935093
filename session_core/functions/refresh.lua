-- Extends a session, never beyond its absolute limit, and only one that lives: nothing is brought back.

-- KEYS: session. ARGV: threshold ms (extend if less than that is left; negative: extend in any case).
-- Returns {'ok' | 'revoked' | 'missing', now, record, digest of the current id}.
-- allow-oom: it changes numbers in place; a full store must not log users out who are active.
redis.register_function{
  function_name = 'session_refresh_v1',
  flags = {'allow-oom'},
  callback = function(keys, argv)
    local threshold, now = tonumber(argv[1]), now_ms()
    local key, record = load_current(keys[1], now)
    if not record then return {'missing', now, false, ''} end
    local digest = digest_of(key)
    if record[AT.revoked] then return {'revoked', now, record, digest} end

    local ttl, expires = tonumber(record[AT.ttl]), tonumber(record[AT.expires])
    if threshold >= ttl then
      -- A threshold above the TTL would write at every read: at most once in a twentieth of the TTL instead.
      threshold = ttl - ttl / 20
    end
    local target = math.min(now + ttl, tonumber(record[AT.limit]))
    if target > expires and (threshold < 0 or expires - now < threshold) then
      local tag, user = tag_of(key), record[AT.user]
      redis.call('HSET', key, 'expires', target, 'seen', now)
      redis.call('HDEL', key, 'evicted')
      redis.call('PEXPIREAT', key, target)
      index_expiry(tag, user, digest, target)
      settle(tag, user)
      record[AT.expires], record[AT.seen], record[AT.evicted] = target, now, false
    end
    return {'ok', now, record, digest}
  end,
}

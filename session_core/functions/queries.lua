-- Reads that a plain command cannot do in one step. They write nothing (no-writes), so they are answered by replicas,
-- by a full server, and by a primary that refuses writes because it has too few replicas.

-- KEYS: the user's sessions by creation. Returns {digest, fields, digest, fields, ...}, what lives of them, oldest first.
redis.register_function{
  function_name = 'session_listing_v1',
  flags = {'no-writes'},
  callback = function(keys)
    local now, tag = now_ms(), tag_of(keys[1])
    local user = string.match(keys[1], '^user_sessions:{%d+}:(.*)$')
    local reply = {}
    for _, digest in ipairs(digests_of(tag, user)) do
      local key = session_key(tag, digest)
      local fields = redis.call('HMGET', key, 'created', 'expires', 'limit', 'seen', 'meta', 'revoked')
      local expires, revoked = fields[2], fields[6]
      if expires and not revoked and tonumber(expires) > now then
        reply[#reply + 1] = digest
        reply[#reply + 1] = fields
      end
    end
    return reply
  end,
}

-- KEYS: sorted sets by expiry. Returns how many of their members live.
redis.register_function{
  function_name = 'session_count_v1',
  flags = {'no-writes'},
  callback = function(keys)
    local now, total = now_ms(), 0
    for _, key in ipairs(keys) do
      total = total + redis.call('ZCOUNT', key, '(' .. string.format('%d', now), '+inf')
    end
    return total
  end,
}

-- KEYS: the users of several buckets. ARGV: about how many users. Whole buckets are returned, at least one, so that
-- paging by bucket misses nobody. Returns {buckets looked at, users}.
redis.register_function{
  function_name = 'session_users_v1',
  flags = {'no-writes'},
  callback = function(keys, argv)
    local now, enough, users, looked_at = now_ms(), tonumber(argv[1]), {}, 0
    for _, key in ipairs(keys) do
      if looked_at > 0 and #users >= enough then break end
      looked_at = looked_at + 1
      for _, user in ipairs(redis.call('ZRANGE', key, '(' .. string.format('%d', now), '+inf', 'BYSCORE')) do
        users[#users + 1] = user
      end
    end
    return {looked_at, users}
  end,
}

-- Returns the revision of this library, for the check at start.
redis.register_function{
  function_name = 'session_library_v1',
  flags = {'no-writes'},
  callback = function() return REVISION end,
}

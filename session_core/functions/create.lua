-- Login: forget the dead, make room under the limit, store, index, announce; all or nothing.

-- Removes the user's expired handles, and some of the bucket's.
local function sweep(tag, user, now)
  repeat
    local dead = redis.call('ZRANGE', by_expiry(tag, user), '-inf', now, 'BYSCORE', 'LIMIT', 0, PORTION)
    if #dead > 0 then
      redis.call('ZREM', by_expiry(tag, user), unpack(dead))
      redis.call('ZREM', by_creation(tag, user), unpack(dead))
    end
  until #dead < PORTION
  for _, set in ipairs({'session_index:' .. tag, 'session_index:' .. tag .. ':users'}) do
    local stale = redis.call('ZRANGE', set, '-inf', now, 'BYSCORE', 'LIMIT', 0, SWEEP)
    if #stale > 0 then redis.call('ZREM', set, unpack(stale)) end
  end
end

-- The user's digests, first to go first. By creation that is the order of the set; "idle" has to look at each session,
-- which costs one read for each of the at most `limit` sessions, and only at the limit.
local function candidates(tag, user, excess, policy)
  local order = by_creation(tag, user)
  if redis.call('EXISTS', order) == 0 then
    -- Only a server that evicts keys loses one of a user's two sets.
    order = by_expiry(tag, user)
  end
  if policy ~= 'idle' then
    return redis.call('ZRANGE', order, 0, excess - 1)
  end
  local all = {}
  for rank, digest in ipairs(redis.call('ZRANGE', order, 0, -1)) do
    local seen = redis.call('HMGET', session_key(tag, digest), 'seen')[1]
    all[#all + 1] = {digest = digest, seen = tonumber(seen or 0), rank = rank}
  end
  table.sort(all, function(a, b)
    if a.seen ~= b.seen then return a.seen < b.seen end
    return a.rank < b.rank
  end)
  local first = {}
  for position = 1, math.min(excess, #all) do first[position] = all[position].digest end
  return first
end

-- Evicts until one more session fits; returns the evicted digests.
local function make_room(tag, user, limit, policy, now, why)
  local evicted = {}
  local excess = redis.call('ZCARD', by_expiry(tag, user)) - limit + 1
  while excess > 0 do
    for _, digest in ipairs(candidates(tag, user, excess, policy)) do
      local key = session_key(tag, digest)
      local record = load(key, now)
      if record and not record[AT.revoked] then
        bury(key, record, now, why)
        evicted[#evicted + 1] = digest
      else
        -- The server itself dropped the session (maxmemory-policy other than noeviction): it takes up no place.
        unindex(tag, user, digest)
      end
    end
    excess = redis.call('ZCARD', by_expiry(tag, user)) - limit + 1
  end
  return evicted
end

-- KEYS: session. ARGV: user, ttl ms, lifetime ms, metadata, sealed, wrap, version, limit, policy, tombstone ms, events.
-- Returns {'ok' | 'limit', now, record}.
redis.register_function('session_create_v1', function(keys, argv)
  local key = keys[1]
  local user, ttl, lifetime = argv[1], tonumber(argv[2]), tonumber(argv[3])
  local meta, sealed, wrap, version = argv[4], argv[5], argv[6], argv[7]
  local limit, policy, keep_ms, kept = tonumber(argv[8]), argv[9], tonumber(argv[10]), argv[11]
  local tag, digest = tag_of(key), digest_of(key)
  local now, created = now_ms()

  local known = load(key, now)
  if known then
    redis.call('HSET', key, 'user', user)
    return {'ok', now, known}
  end

  sweep(tag, user, now)
  local evicted = {}
  if limit > 0 then
    if policy == 'reject' and redis.call('ZCARD', by_expiry(tag, user)) >= limit then
      return {'limit', now, false}
    end
    evicted = make_room(tag, user, limit, policy, now,
      {kind = 'evicted', reason = 'session limit', actor = handle_of(tag, digest), keep_ms = keep_ms, kept = kept})
  end

  local fields = {'user', user, 'created', created, 'expires', now + ttl, 'limit', now + lifetime, 'ttl', ttl,
    'seen', now, 'version', version, 'meta', meta}
  local function also(name, value)
    if value ~= '' then
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
  end
  also('sealed', sealed)
  also('wrap', wrap)
  also('evicted', table.concat(evicted, ' ', 1, math.min(#evicted, 100)))
  redis.call('DEL', key) -- in the millisecond in which it ends, an older record of this id is dead and still there
  redis.call('HSET', key, unpack(fields))
  redis.call('PEXPIREAT', key, now + ttl)
  index(tag, user, digest, created, now + ttl)
  settle(tag, user)
  announce(tag, kept, 'created', user, digest, '', '')
  return {'ok', now, load(key, now)}
end)

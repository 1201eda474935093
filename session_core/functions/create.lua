-- Login: forget the dead, make room under the limit, store, index, announce; all or nothing.

-- Removes the user's expired handles. Returns how many he holds, all of them alive.
local function sweep_user(tag, user, now)
  local set = by_expiry(tag, user)
  local held = redis.call('ZCARD', set)
  while held > 0 do
    local dead = redis.call('ZRANGE', set, '-inf', now, 'BYSCORE', 'LIMIT', 0, PORTION)
    if #dead == 0 then break end
    redis.call('ZREM', set, unpack(dead))
    redis.call('ZREM', by_creation(tag, user), unpack(dead))
    held = held - #dead
  end
  return held
end

-- Removes some of the bucket's expired handles and users, once in a while.
local function sweep_bucket(tag, digest, now)
  if string.byte(digest) % 8 ~= 0 then return end
  for _, set in ipairs({'session_index:' .. tag, 'session_index:' .. tag .. ':users'}) do
    local stale = redis.call('ZRANGE', set, '-inf', now, 'BYSCORE', 'LIMIT', 0, SWEEP)
    if #stale > 0 then redis.call('ZREM', set, unpack(stale)) end
  end
end

-- The user's digests, first to go first. By creation that is the order of the set; "idle" has to look at each session,
-- which costs one read for each of the at most `limit` sessions, and only at the limit.
local function candidates(tag, user, excess, policy)
  local last = policy == 'idle' and -1 or excess - 1
  local digests = redis.call('ZRANGE', by_creation(tag, user), 0, last)
  if #digests == 0 then
    -- Only a server that evicts keys loses one of a user's two sets.
    digests = redis.call('ZRANGE', by_expiry(tag, user), 0, last)
  end
  if policy ~= 'idle' then return digests end
  local all = {}
  for rank, digest in ipairs(digests) do
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

-- Evicts until he who holds so many sessions may have one more; returns the evicted digests.
local function make_room(tag, user, held, limit, policy, now, why)
  local evicted = {}
  while held >= limit do
    for _, digest in ipairs(candidates(tag, user, held - limit + 1, policy)) do
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
    held = redis.call('ZCARD', by_expiry(tag, user))
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

  if redis.call('EXISTS', key) == 1 then
    local known = load(key, now)
    if known then
      redis.call('HSET', key, 'user', user)
      return {'ok', now, known}
    end
    redis.call('DEL', key) -- in the millisecond in which it ends, an older record of this id is dead and still there
  end

  sweep_bucket(tag, digest, now)
  local held, evicted = sweep_user(tag, user, now), {}
  if limit > 0 and held >= limit then
    if policy == 'reject' then return {'limit', now, false} end
    evicted = make_room(tag, user, held, limit, policy, now,
      {kind = 'evicted', reason = 'session limit', actor = handle_of(tag, digest), keep_ms = keep_ms, kept = kept})
  end

  local gone, expires, longest = table.concat(evicted, ' ', 1, math.min(#evicted, 100)), now + ttl, now + lifetime
  redis.call('HSET', key, 'user', user, 'created', created, 'expires', expires, 'limit', longest, 'ttl', ttl,
    'seen', now, 'version', version, 'meta', meta)
  if sealed ~= '' then redis.call('HSET', key, 'sealed', sealed, 'wrap', wrap) end
  if gone ~= '' then redis.call('HSET', key, 'evicted', gone) end
  redis.call('PEXPIREAT', key, expires)
  index(tag, user, digest, created, expires)
  if held == 0 then
    settle_until(tag, user, expires)
  else
    settle(tag, user)
  end
  announce(tag, kept, 'created', user, digest, '', '')
  -- What `load` would say now, in the order of FIELDS.
  return {'ok', now, {user, created, expires, longest, ttl, now, version, meta, sealed ~= '' and sealed,
    wrap ~= '' and wrap, false, false, false, false, gone ~= '' and gone}}
end)

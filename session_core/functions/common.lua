-- What all functions share. The files of this directory are joined, in the order that session_core.library names, to
-- one library; `local` at the top level of one file is visible in those after it.
--
-- Rules that hold everywhere here:
--  * Each function is called with the one key of a session or of a user. The other keys that it touches are made from
--    the hash tag {bucket} of that key, so they are in the same slot, on a cluster too.
--  * The caller makes the ids. A function that is called again with the same arguments (because its reply was lost)
--    answers the same and writes again: only then does a WAIT that follows it on the same connection say something
--    about this very change.
--  * Time is this server's. It does not move while a function runs, and no key expires meanwhile.
--  * Metadata and the sealed part are bytes from the client; nothing here decodes them.

-- The order of a record in replies: session_core.protocol.FIELDS is the same list.
local FIELDS = {
  'user', 'created', 'expires', 'limit', 'ttl', 'seen', 'version', 'meta', 'sealed', 'wrap',
  'next',                       -- digest of the successor: this id was rotated and is in its grace
  'revoked', 'reason', 'actor', -- present in a tombstone only
  'evicted',                    -- digests that had to go for this session, until its first refresh
}
local AT = {}
for position = 1, #FIELDS do AT[FIELDS[position]] = position end -- ipairs() does not exist while a library loads

-- One login in eight, chosen by its digest, removes up to so many stale entries from each index of its bucket: on average
-- eight for the one that a login adds, so the sweep always catches up. Counts and lists never depend on it.
local SWEEP = 64
-- unpack() of longer lists than Lua's stack allows would fail; ZREM gets its members in portions.
local PORTION = 1000

-- Milliseconds; and the same as text with three decimals, which no two calls share: the order of logins.
local function now_ms()
  local time = redis.call('TIME')
  local ms = time[1] * 1000 + math.floor(time[2] / 1000)
  return ms, string.format('%d.%03d', ms, time[2] % 1000)
end

local function tag_of(key)
  return string.match(key, '^[^{]*({%d+})')
end

local function digest_of(key)
  return string.match(key, '^session:{%d+}:(.+)$')
end

local function session_key(tag, digest)
  return 'session:' .. tag .. ':' .. digest
end

-- The public name, as session_core.ids makes it.
local function handle_of(tag, digest)
  return 'h' .. string.sub(tag, 2, -2) .. '-' .. digest
end

-- Two sorted sets for each user: who goes first at the limit, and who is dead already. Both end with the last session.
local function by_creation(tag, user)
  return 'user_sessions:' .. tag .. ':' .. user
end

local function by_expiry(tag, user)
  return 'user_expiry:' .. tag .. ':' .. user
end

-- Returns the record, or nil if there is none or it has expired. A tombstone is a record with `revoked`.
local function load(key, now)
  local record = redis.call('HMGET', key, unpack(FIELDS))
  if not record[AT.user] then return nil end
  if not record[AT.revoked] and tonumber(record[AT.expires]) <= now then return nil end
  return record
end

-- Follows the grace of rotated ids to the session as it is called now.
local function load_current(key, now)
  local record = load(key, now)
  while record and record[AT.next] do
    key = session_key(tag_of(key), record[AT.next])
    record = load(key, now)
  end
  return key, record
end

-- Makes the user's sets live until then, and the listing of users agree.
local function settle_until(tag, user, last)
  redis.call('PEXPIREAT', by_expiry(tag, user), last)
  redis.call('PEXPIREAT', by_creation(tag, user), last)
  redis.call('ZADD', 'session_index:' .. tag .. ':users', last, user)
end

-- The same until his longest session ends.
local function settle(tag, user)
  local last = redis.call('ZRANGE', by_expiry(tag, user), 0, 0, 'REV', 'WITHSCORES')[2]
  if last then
    settle_until(tag, user, last)
  else
    redis.call('DEL', by_creation(tag, user))
    redis.call('ZREM', 'session_index:' .. tag .. ':users', user)
  end
end

-- The user's digests, oldest first. Only a server that evicts keys holds more of them by expiry than by creation.
local function digests_of(tag, user)
  local digests = redis.call('ZRANGE', by_creation(tag, user), 0, -1)
  if #digests < redis.call('ZCARD', by_expiry(tag, user)) then
    local known = {}
    for _, digest in ipairs(digests) do known[digest] = true end
    for _, digest in ipairs(redis.call('ZRANGE', by_expiry(tag, user), 0, -1)) do
      if not known[digest] then digests[#digests + 1] = digest end
    end
  end
  return digests
end

local function index_expiry(tag, user, digest, expires)
  redis.call('ZADD', by_expiry(tag, user), expires, digest)
  redis.call('ZADD', 'session_index:' .. tag, expires, digest)
end

local function index(tag, user, digest, created, expires)
  redis.call('ZADD', by_creation(tag, user), created, digest)
  index_expiry(tag, user, digest, expires)
end

local function unindex(tag, user, digest)
  redis.call('ZREM', by_creation(tag, user), digest)
  redis.call('ZREM', by_expiry(tag, user), digest)
  redis.call('ZREM', 'session_index:' .. tag, digest)
end

local function announce(tag, kept, kind, user, digest, reason, actor)
  redis.call('XADD', 'session_events:' .. tag, 'MAXLEN', '~', kept, '*',
    'kind', kind, 'user', user, 'digest', digest, 'reason', reason, 'actor', actor)
end

-- Puts a tombstone in the place of a record. `why` = {kind, reason, actor, keep_ms, kept}.
local function entomb(key, record, now, why)
  redis.call('DEL', key)
  redis.call('HSET', key, 'user', record[AT.user], 'created', record[AT.created], 'expires', record[AT.expires],
    'limit', record[AT.limit], 'seen', record[AT.seen],
    'revoked', now, 'reason', why.reason, 'actor', why.actor)
  redis.call('PEXPIREAT', key, now + why.keep_ms)
end

-- Ends a live session. The caller settles.
local function bury(key, record, now, why)
  local tag, digest, user = tag_of(key), digest_of(key), record[AT.user]
  entomb(key, record, now, why)
  unindex(tag, user, digest)
  announce(tag, why.kept, why.kind, user, digest, why.reason, why.actor)
end

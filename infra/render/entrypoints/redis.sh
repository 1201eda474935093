# Entrypoint of a Redis data node: finds out which role this node has to take, then becomes redis-server.
#
# It never guesses. A node follows only the primary that a majority of the configured Sentinels names. It becomes primary
# by itself in two cases alone, both with no other node running that could be promoted: an election among nodes that are all
# waiting here (a cold start), and a fresh install, proven by every configured node saying that it is empty.
# While it waits, a node tells the others what it holds and for whom it votes through a "waiting room": a Redis without
# data on another port. An election needs the vote of every node that is waiting, given after one's own was published:
# of two nodes with different views at most one can have them all. Where the Sentinels name another node, the elected one
# is theirs to promote: one that calls itself primary keeps the priority it had as a replica, and 0 would be for ever.
PORT='' SELF=''
for node in $NODES; do
  [ "$(host_of "$node")" = "$NODE" ] && SELF=$node PORT=$(port_of "$node")
done
[ -n "$SELF" ] || { log "fatal: NODE=$NODE is not one of NODES=$NODES"; exit 64; }
PEERS=
for node in $NODES; do [ "$node" = "$SELF" ] || PEERS="$PEERS $node"; done

FIRST=${NODES%% *}
UNSYNCED=$DATA/kit-unsynced       # holds what this node held when it last started as a replica; gone once it has synced
UNREADABLE=$DATA/kit-unreadable   # an append-only file that the server refused, until the first sync is complete
FORCE=$DATA/kit-force-primary     # made by an operator: this node is to be primary, whatever the others say
SENTINEL_GRACE=${SENTINEL_GRACE:-10}  # s to wait for the Sentinels' word before an election does without it
ABSENT_GRACE=${ABSENT_GRACE:-20}      # s to wait for a missing node before a majority elects without it
STALE_MARGIN=${STALE_MARGIN:-10}      # s by which the named primary's last write may lie behind another node's
SYNC_GRACE=${SYNC_GRACE:-60}          # s after which a replica that finds no primary goes back to the waiting room
POLL=${POLL:-1}

# keep TEXT FILE: the file has the text or is as it was, also after a power cut or on a full disk.
keep() {
  echo "$1" >"$2.new"
  mv "$2.new" "$2"
}

# held: the Unix time in s of the last write on disk, 0 for no data. A replica's first sync replaces its data, so until
# that is complete (also in the AOF) it counts with what it held before.
held() {
  if [ -e "$UNSYNCED" ]; then cat "$UNSYNCED"; return; fi
  held_time=0
  for file in "$DATA"/appendonlydir/appendonly.aof.*.aof; do
    [ -e "$file" ] || continue
    file_time=$(stat -c %Y "$file")
    [ "$file_time" -le "$held_time" ] || held_time=$file_time
  done
  echo "$held_time"
}

# broken: whether the append-only file is not well formed to its end.
broken() {
  "$ENGINE-check-aof" "$DATA/appendonlydir/appendonly.aof.manifest" >/dev/null 2>&1
  [ $? -eq 1 ]
}

# set_aside: a replica that did not get as far as its first sync when it last started may have a file that its server
# refuses: after a disk was full Redis leaves zeros in the middle (aof.c: a short write is cut off, and the file, opened
# without O_APPEND, goes on where it had ended). The sync replaces that file; with it, the server would never come to one.
set_aside() {
  [ -e "$UNSYNCED" ] && [ -e "$DATA/appendonlydir" ] && broken || return 0
  log "the append-only file is broken, and set aside as $UNREADABLE until the first sync is complete"
  rm -rf "$UNREADABLE"
  mv "$DATA/appendonlydir" "$UNREADABLE"
}

# local_user RULES...: a line of an ACL file, for a user `local` whose password never leaves this container.
LOCAL_PASSWORD=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
local_user() { echo "user local on >$LOCAL_PASSWORD resetchannels -@all $*"; }
local_cli() { # local_cli PORT "WORDS..."
  # shellcheck disable=SC2086  # several words
  REDISCLI_AUTH=$LOCAL_PASSWORD timeout 2 "$ENGINE-cli" -h 127.0.0.1 -p "$1" --tls --cacert "$KIT/tls/ca.crt" \
    --user local --no-auth-warning $2 2>/dev/null
}

# room_of PORT: the waiting room's port, 10000 away.
room_of() { if [ "$1" -le 55535 ]; then echo $(($1 + 10000)); else echo $(($1 - 10000)); fi; }

ROOM='' ROOM_PORT=$(room_of "$PORT")
ROOM_TRIES=100  # at least 10 s, and longer on a busy machine
open_waiting_room() {
  mkdir -p "$RUN/room"
  { echo "user default off"
    echo "user node on #$(printf %s "$REDISCLI_AUTH" | sha256sum | cut -d' ' -f1) resetchannels -@all ~kit:state +get +info +ping"
    local_user '~kit:state +set'; } >"$RUN/room/users.acl"
  { grep -E '^(bind|protected-mode|port|tls-)' "$KIT/redis.conf" | grep -v '^tls-port'
    printf 'tls-port %s\naclfile %s\ndir %s\nsave ""\nappendonly no\nloglevel warning\n' \
      "$ROOM_PORT" "$RUN/room/users.acl" "$RUN/room"; } >"$RUN/room/redis.conf"
  "$ENGINE-server" "$RUN/room/redis.conf" >/dev/null &
  ROOM=$!
  trap 'kill "$ROOM" 2>/dev/null || :; exit 143' TERM INT
  tries=0
  until vote nobody; do
    kill -0 "$ROOM" 2>/dev/null || { log "fatal: the waiting room on port $ROOM_PORT does not start"; exit 70; }
    tries=$((tries + 1))
    if [ "$tries" -ge "$ROOM_TRIES" ]; then
      log "fatal: the waiting room on port $ROOM_PORT does not answer: is node.crt in $KIT/tls of the authority in ca.crt?"
      kill "$ROOM"
      exit 70
    fi
    sleep 0.1
  done
}

# vote NODE: publishes what this node holds and whom it votes for.
VOTED=
vote() {
  [ "$VOTED" = "$1" ] || local_cli "$ROOM_PORT" "SET kit:state $(held)=$1" >/dev/null || return 1
  VOTED=$1
}

close_waiting_room() {
  [ -n "$ROOM" ] || return 0
  kill "$ROOM" 2>/dev/null || :
  wait "$ROOM" 2>/dev/null || :
  trap - TERM INT
}

# waiting_with NODE: what a waiting node holds (see held) and votes for, as "time=vote"; or nothing.
waiting_with() {
  cli "$(host_of "$1")" "$(room_of "$(port_of "$1")")" GET kit:state | grep -E '^[0-9]+=[^ ]+$' || :
}

# look: fills NAMED (the Sentinels' primary), and of the peers: UP (can be promoted, or must not be passed over),
# LAME (replicas that have not synced since they started), WAITING ("node=time=vote ..."), ABSENT.
look() {
  NAMED=$(named_by_majority)
  UP='' LAME='' WAITING='' ABSENT='' NAMED_ROLE=''
  for peer in $PEERS; do
    role=$(role_of "$peer")
    [ "$peer" = "$NAMED" ] && NAMED_ROLE=$role
    case $role in
      "replica 0") LAME="$LAME $peer" ;;
      ?*) UP="$UP $peer" ;;
      *)
        room=$(waiting_with "$peer")
        if [ -n "$room" ]; then WAITING="$WAITING $peer=$room"; else ABSENT="$ABSENT $peer"; fi ;;
    esac
  done
}

# winner: which waiting node is to be primary. The named one, as it took the last writes, unless it has lost its data or
# another one's last write is STALE_MARGIN later (then its disk was set back); else the newest, the first of NODES among
# equals; nobody where no node holds anything.
winner() {
  for node in $NODES; do
    if [ "$node" = "$SELF" ]; then echo "$SELF=$(held)"; continue; fi
    for waiting in $WAITING; do [ "${waiting%%=*}" = "$node" ] && echo "$waiting"; done
  done | awk -F= -v named="$NAMED" -v margin="$STALE_MARGIN" '
    $2 > newest { newest = $2; best = $1 } $1 == named { named_time = $2 }
    END { print (named_time > 0 && newest - named_time <= margin) ? named : best }'
}

# decide: prints "primary", "replica HOST PORT", "elect NODE" or "wait REASON", from what look has seen and how long this
# node has WAITED (s since who is missing last changed).
decide() {
  if [ -e "$FORCE" ]; then echo primary; return; fi
  if [ -n "$NAMED" ] && [ "$NAMED_ROLE" = primary ]; then
    echo "replica $(host_of "$NAMED") $(port_of "$NAMED")"
  elif [ -n "$UP" ]; then
    echo "wait for a majority of the Sentinels to name a running primary (named: ${NAMED:-none}; running:$UP)"
  elif [ "$NAMED" = "$SELF" ] && [ "$(held)" -gt 0 ] && [ -n "$LAME" ]; then
    echo primary
  else
    elect
  fi
}

elect() {
  # shellcheck disable=SC2086
  if [ -n "$ABSENT$LAME" ] && [ $(($(count $WAITING) + 1)) -lt "$(majority_of $NODES)" ]; then
    echo "wait for a majority of the nodes (missing:$ABSENT$LAME)"
  elif [ -n "$ABSENT$LAME" ] && [ "$WAITED" -lt "$ABSENT_GRACE" ]; then
    echo "wait up to $ABSENT_GRACE s for$ABSENT$LAME"
  else
    elected=$(winner)
    if [ -z "$elected" ] && [ -n "$ABSENT$LAME" ]; then
      echo "wait for$ABSENT$LAME: all nodes here are empty, so the data may be there"
    elif [ -n "$elected" ] && [ -z "$NAMED" ] && [ "$WAITED" -lt "$SENTINEL_GRACE" ]; then
      echo "wait up to $SENTINEL_GRACE s for the Sentinels to say who was primary"
    else
      echo "elect ${elected:-$FIRST}"
    fi
  fi
}

# unanimous: whether every waiting peer votes for this node.
unanimous() {
  for waiting in $WAITING; do [ "${waiting##*=}" = "$SELF" ] || return 1; done
}

# elected_as: "primary", or "candidate HOST PORT", a replica of the named node that may be promoted as it is.
elected_as() {
  case $NAMED in
    '' | "$SELF") echo primary ;;
    *) echo "candidate $(host_of "$NAMED") $(port_of "$NAMED")" ;;
  esac
}

# become_eligible: once the first sync is complete in memory and in the AOF, lets Sentinel promote this replica.
become_eligible() {
  synced_waited=0
  while sleep "$POLL"; do
    info=$(cli 127.0.0.1 "$PORT" INFO everything) || info=
    case $info in
      *master_link_status:up*)
        case $info in
          *aof_rewrite_in_progress:1* | *aof_rewrite_scheduled:1*) ;;
          *) rm -rf "$UNSYNCED" "$UNREADABLE"
             local_cli "$PORT" "CONFIG SET replica-priority 100" >/dev/null && break ;;
        esac ;;
      *role:master*) rm -f "$UNSYNCED"; break ;;
      *master_sync_in_progress:1* | *loading:1*) ;;
      *) synced_waited=$((synced_waited + POLL))
         [ "$synced_waited" -lt "$SYNC_GRACE" ] || { log "found no primary in $SYNC_GRACE s: back to the waiting room"; kill $$; break; } ;;
    esac
  done
}

# Redis and Valkey do not read each other's newer files: data stays with the engine that wrote it.
check_engine() {
  if [ ! -e "$DATA/kit-engine" ]; then keep "$ENGINE" "$DATA/kit-engine"; return; fi
  writer=$(cat "$DATA/kit-engine")
  [ "$writer" = "$ENGINE" ] || { log "fatal: this is $ENGINE, but the data was written by $writer"; exit 65; }
}

prepare() { # prepare EXTRA_CONF_LINES: redis.conf is made anew at each start, so no CONFIG REWRITE outlives a new rendering
  mkdir -p "$RUN"
  { cat "$KIT/users.acl"; local_user '+config|set'; } >"$RUN/users.acl"
  { cat "$KIT/redis.conf" "$KIT/auth.conf"; printf '%s\n' "$@"; } >"$RUN/redis.conf"
}

main() {
  check_engine
  rm -rf "$RUN/room"
  open_waiting_room
  WAITED=0 MISSING=''
  while :; do
    look
    # Nodes may come one after the other, the newest data last; and an elected one is missing while its server starts.
    [ "$ABSENT$LAME" = "$MISSING" ] || MISSING=$ABSENT$LAME WAITED=0
    decision=$(decide)
    case $decision in
      primary | replica*) break ;;
      "elect $SELF")
        if [ "$VOTED" = "$SELF" ] && unanimous; then decision=$(elected_as); break; fi
        say "stands for primary; waits for the votes of:$WAITING"
        vote "$SELF" ;;
      elect*)
        say "votes for ${decision#elect }, which holds the newest data or is the first node of a fresh install"
        vote "${decision#elect }" ;;
      *) say "$decision"; vote nobody ;;
    esac
    sleep "$POLL"
    WAITED=$((WAITED + POLL))
  done
  log "starts as $decision (named: ${NAMED:-none}; running:${UP:- none}; waiting:${WAITING:- none}; missing:${ABSENT:- none}; holds $(held))"
  close_waiting_room
  case $decision in
    primary) rm -f "$FORCE" "$UNSYNCED"; prepare ;;
    candidate*)
      prepare "replicaof ${decision#candidate }"
      become_eligible & ;;
    replica*)
      before=$(held)
      set_aside
      keep "$before" "$UNSYNCED"
      prepare "replicaof ${decision#replica }" "replica-priority 0"
      become_eligible & ;;
  esac
  unset LOCAL_PASSWORD REDISCLI_AUTH
  exec "$ENGINE-server" "$RUN/redis.conf"
}

[ "${KIT_SOURCED:-}" ] || main

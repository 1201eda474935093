# What a health check, a planned stop or an operator asks of the node in this container, as the ACL user `node`.
#   ctl.sh ping               exit 0 if this node answers
#   ctl.sh info [SECTION]     INFO of this node
#   ctl.sh sentinel WORDS...  a SENTINEL command, to this Sentinel
#   ctl.sh quiesce            if this node is primary, lets no write in any more once every replica has all: "done" or "failed"
#   ctl.sh handover           if this node is primary, makes another one primary without losing a write: "done" or "failed"
PORT=
for node in $NODES $SENTINELS; do [ "$(host_of "$node")" = "$NODE" ] && PORT=$(port_of "$node"); done
PAUSE_MS=30000   # longer than all that follows: no write is accepted by two primaries
QUIET_MS=120000  # longer than it takes to stop this node
IN_STEP_S=2      # less than a Sentinel's down-after: a paused node does not answer it (it publishes there)
HANDOVER_S=12
HEARD_S=12         # more than the 10 s after which a Sentinel asks a replica again

info_field() { cli 127.0.0.1 "$PORT" INFO replication | awk -F: -v f="$1" '$1 == f { print $2 }'; }

# in_step: true once every connected replica has all that this node has written: Sentinel may choose any of them.
in_step() {
  cli 127.0.0.1 "$PORT" INFO replication | awk -F'[:,=]' '
    /^slave[0-9]+:/ { for (i = 1; i < NF; i++) if ($i == "offset") offsets[++replicas] = $(i + 1) }
    $1 == "master_repl_offset" { own = $2 }
    END { for (i in offsets) behind += offsets[i] < own; exit !(own > 0 && replicas > 0 && behind == 0) }'
}

# named_elsewhere: true once a majority of the Sentinels names another node.
named_elsewhere() {
  named=$(named_by_majority)
  [ -n "$named" ] && [ "$(host_of "$named")" != "$NODE" ]
}

# heard_as_replicas: true once no Sentinel has last heard of a replica in reach that it is a primary. Such a one, as after a
# node that was away came back as primary and was demoted, demotes it again as soon as it is promoted (sentinel.c,
# +convert-to-slave): the failover would come to nothing. REACHED, MISSED: the Sentinels that have answered, and the others.
heard_as_replicas() {
  REACHED='' MISSED=''
  for sentinel in $SENTINELS; do
    primaries=$(cli "$(host_of "$sentinel")" "$(port_of "$sentinel")" SENTINEL REPLICAS "$MASTER_NAME" | awk '
      field == "flags" { away = /s_down|disconnected/ }
      field == "role-reported" { primaries += $0 == "master" && !away }
      { field = $0 }
      END { if (NR) print primaries + 0 }')
    case $primaries in
      '') MISSED="$MISSED $sentinel" ;;
      0) REACHED="$REACHED $sentinel" ;;
      *) return 1 ;;
    esac
  done
}

# until_true SECONDS COMMAND: whether it became true in that time.
until_true() {
  until_end=$(($(date +%s) + $1))
  until "$2"; do
    [ "$(date +%s)" -lt "$until_end" ] || return 1
    sleep 0.2
  done
}

# start_failover: asks for exactly one failover; the next Sentinel only where one cannot be reached. Writes wait meanwhile, so
# those that answered before come first.
start_failover() {
  for sentinel in $REACHED $MISSED; do
    answer=$(cli "$(host_of "$sentinel")" "$(port_of "$sentinel")" SENTINEL FAILOVER "$MASTER_NAME")
    case $answer in
      OK | *INPROG*) return 0 ;;
      ?*) log "$sentinel: $answer"; return 1 ;;
    esac
  done
  return 1
}

# pause_in_step MS: no write is accepted any more, and every replica has all of them. Without the server's word for the
# pause nothing may follow: writes that go on would be lost.
pause_in_step() {
  [ "$(cli 127.0.0.1 "$PORT" CLIENT PAUSE "$1" WRITE)" = OK ] && until_true "$IN_STEP_S" in_step
}

# as_primary STEP...: takes the steps if this node is primary; a replica has nothing to do; ends the pause if one fails.
as_primary() {
  case $(info_field role) in
    slave) echo "done"; return ;;
    master) ;;
    *) echo failed; return ;;
  esac
  if "$@"; then echo "done"; return; fi
  cli 127.0.0.1 "$PORT" CLIENT UNPAUSE >/dev/null
  echo failed
}

# follow_the_named: a replica of the node that a majority names. A Sentinel would make it one only after the pause, which holds
# up what it publishes here; until then a write that waits has no answer. Without the server's word for it the pause stays.
follow_the_named() {
  [ "$(cli 127.0.0.1 "$PORT" REPLICAOF "$(host_of "$named")" "$(port_of "$named")")" = OK ] &&
    cli 127.0.0.1 "$PORT" CLIENT UNPAUSE >/dev/null
  return 0
}

# A failover that the Sentinels have begun themselves meanwhile is the one: after it, one more would lose what the new
# primary has taken.
hand_over() {
  until_true "$HEARD_S" heard_as_replicas && pause_in_step "$PAUSE_MS" && { named_elsewhere || start_failover; } &&
    until_true "$HANDOVER_S" named_elsewhere && follow_the_named
}

case ${1:-} in
  ping) [ "$(cli 127.0.0.1 "$PORT" PING)" = PONG ] ;;
  info) cli 127.0.0.1 "$PORT" INFO "${2:-default}" ;;
  sentinel) shift; cli 127.0.0.1 "$PORT" SENTINEL "$@" ;;
  quiesce) as_primary pause_in_step "$QUIET_MS" ;;
  handover) as_primary hand_over ;;
  *) echo "usage: ctl.sh ping | info [SECTION] | sentinel WORDS... | quiesce | handover" >&2; exit 64 ;;
esac

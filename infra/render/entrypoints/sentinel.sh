# Entrypoint of a Sentinel: makes sentinel.conf anew from the rendering, and keeps of the old one only what Sentinel itself
# has learned: whom it watches, the epochs (a forgotten vote could be cast twice) and the Sentinels it knows.
# A Sentinel without memory watches nobody by default: it asks the other Sentinels, then the nodes' own ROLE.
STATE=$DATA/sentinel.conf
POLL=${POLL:-1}
OTHERS='' SELF=''
for sentinel in $SENTINELS; do
  if [ "$(host_of "$sentinel")" = "$NODE" ]; then SELF=$sentinel; else OTHERS="$OTHERS $sentinel"; fi
done
[ -n "$SELF" ] || { log "fatal: NODE=$NODE is not one of SENTINELS=$SENTINELS"; exit 64; }

# configured HOST:PORT: that address if it is one of NODES, or nothing.
configured() { case " $NODES " in *" $1 "*) echo "$1" ;; esac; }

# remembered: the primary of the old sentinel.conf as host:port, or nothing.
remembered() {
  [ -e "$STATE" ] || return 0
  awk -v m="$MASTER_NAME" '$1 == "sentinel" && $2 == "monitor" && $3 == m { print $4 ":" $5 }' "$STATE"
}

# replicas_of PRIMARY: lines for all other nodes. By itself, Sentinel learns of a replica from the primary, up to 10 s after
# it has joined: were the primary lost before that, none could be promoted, ever.
replicas_of() {
  for node in $NODES; do
    [ "$node" = "$1" ] || echo "sentinel known-replica $MASTER_NAME $(host_of "$node") $(port_of "$node")"
  done
}

# learned: the lines of the old sentinel.conf that stay true, of configured Sentinels only.
learned() {
  [ -e "$STATE" ] || return 0
  awk -v m="$MASTER_NAME" -v sentinels=" $SENTINELS " '
    $1 != "sentinel" { next }
    $2 == "current-epoch" { print }
    $3 == m && ($2 == "config-epoch" || $2 == "leader-epoch") { print }
    $3 == m && $2 == "known-sentinel" && index(sentinels, " " $4 ":" $5 " ") { print }' "$STATE"
}

# discovered: the primary to watch, as host:port. First the word of the other Sentinels, if all that answer agree;
# if none has one, the only node that calls itself primary.
discovered() {
  set --
  for sentinel in $OTHERS; do set -- "$@" "$(named_by "$sentinel")"; done
  names=$(printf '%s\n' "$@" | sed '/^$/d' | sort -u)
  case $(printf '%s' "$names" | grep -c .) in
    1) echo "$names" ;;
    0)
      primaries=
      for node in $NODES; do [ "$(role_of "$node")" = primary ] && primaries="$primaries $node"; done
      # shellcheck disable=SC2086
      [ "$(count $primaries)" -eq 1 ] && echo "${primaries# }" || : ;;
  esac
}

main() {
  trap 'exit 143' TERM INT # as the first process of a container it would not hear of them by default
  mkdir -p "$RUN"
  primary=$(configured "$(remembered)")
  until [ -n "$primary" ]; do
    primary=$(configured "$(discovered)")
    [ -n "$primary" ] || { say "wait for exactly one primary among $NODES"; sleep "$POLL"; }
  done
  log "watches $MASTER_NAME at $primary"
  { awk -v addr="$(host_of "$primary") $(port_of "$primary")" '{ sub(/@PRIMARY@/, addr); print }' "$KIT/sentinel.conf" "$KIT/auth.conf"
    replicas_of "$primary"
    learned; } >"$STATE.new"
  mv "$STATE.new" "$STATE"
  cat "$KIT/users.acl" >"$RUN/users.acl" # a copy would be read-only, and in the way at the next start
  unset REDISCLI_AUTH
  exec "$ENGINE-sentinel" "$STATE"
}

[ "${KIT_SOURCED:-}" ] || main

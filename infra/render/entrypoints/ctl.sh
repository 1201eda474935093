# What a health check or an operator asks of the node in this container, as the ACL user `node`.
#   ctl.sh ping               exit 0 if this node answers
#   ctl.sh info [SECTION]     INFO of this node
#   ctl.sh sentinel WORDS...  a SENTINEL command, to this Sentinel
for node in $NODES $SENTINELS; do [ "$(host_of "$node")" = "$NODE" ] && PORT=$(port_of "$node"); done
case ${1:-} in
  ping) [ "$(cli 127.0.0.1 "$PORT" PING)" = PONG ] ;;
  info) cli 127.0.0.1 "$PORT" INFO "${2:-default}" ;;
  sentinel) shift; cli 127.0.0.1 "$PORT" SENTINEL "$@" ;;
  *) echo "usage: ctl.sh ping | info [SECTION] | sentinel WORDS..." >&2; exit 64 ;;
esac

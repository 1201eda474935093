# shellcheck shell=sh disable=SC2034,SC2153  # not every script uses everything here; NODE is no misspelt `node`
# Shared by both entrypoints. POSIX sh: runs under dash and busybox.
#
# Environment: NODE (this node's name), NODES and SENTINELS ("name:port name:port ..."), MASTER_NAME.
# Files: /run/kit/node.password (password of the ACL user `node`), /run/kit/tls/ca.crt.
set -eu
umask 077

KIT=${KIT_DIR:-/run/kit}
RUN=${KIT_RUN_DIR:-/run/redis}
DATA=${KIT_DATA_DIR:-/data}
REDISCLI_AUTH=$(cat "$KIT/node.password")
export REDISCLI_AUTH

# ENGINE: whose programs these are. Images of Valkey may carry links with Redis's names, so Valkey is looked for first.
if command -v valkey-server >/dev/null; then ENGINE=valkey; else ENGINE=redis; fi

log() { printf '%s %s: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$NODE" "$*" >&2; }

# say MESSAGE: logs it unless it was the last thing said, so that a wait shows its reasons and not its polls.
SAID=
say() {
  [ "$SAID" = "$*" ] || log "$*"
  SAID=$*
}

# cli HOST PORT COMMAND...: bounded in time; the password travels in the environment, never in argv.
cli() {
  cli_host=$1 cli_port=$2
  shift 2
  timeout 2 "$ENGINE-cli" -h "$cli_host" -p "$cli_port" --tls --cacert "$KIT/tls/ca.crt" \
    --user node --no-auth-warning "$@" 2>/dev/null | tr -d '\r'
}

count() { echo $#; }
majority_of() { echo $(($(count "$@") / 2 + 1)); }
host_of() { echo "${1%:*}"; }
port_of() { echo "${1##*:}"; }

# named_by SENTINEL: the "host:port" that it calls the primary, or nothing.
named_by() {
  cli "$(host_of "$1")" "$(port_of "$1")" SENTINEL GET-MASTER-ADDR-BY-NAME "$MASTER_NAME" |
    awk 'NR == 1 && /^[A-Za-z0-9._-]+$/ { h = $0 } NR == 2 && /^[0-9]+$/ { print h ":" $0 }'
}

# named_by_majority: the "host:port" that a majority of the Sentinels calls the primary, or nothing. All are asked at once, and
# who does not answer is not waited for: a Sentinel may be away, as while it is replaced, when no write is let in.
named_by_majority() {
  for sentinel in $SENTINELS; do named_by "$sentinel" 2>/dev/null & done | first_majority
}

# first_majority: the first line that has come as often as a majority of the Sentinels is. No awk: some read to the end.
first_majority() {
  set --
  while read -r vote; do
    set -- "$@" "$vote"
    same=0
    for each; do if [ "$each" = "$vote" ]; then same=$((same + 1)); fi; done
    # shellcheck disable=SC2086
    if [ "$same" -ge "$(majority_of $SENTINELS)" ]; then
      echo "$vote"
      break
    fi
  done
}

# role_of NODE: "primary", "replica <priority>", "unknown" (it answers, but not to us) or nothing.
role_of() {
  cli "$(host_of "$1")" "$(port_of "$1")" INFO replication | awk -F: '
    $1 == "role" { role = $2 } $1 == "slave_priority" { priority = $2 } NF { said = 1 }
    END {
      if (role == "master") print "primary"
      else if (role == "slave") print "replica " priority
      else if (said) print "unknown"
    }'
}

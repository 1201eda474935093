#!/usr/bin/env bash
# redis-cli.sh STACK [COMMAND...]: redis-cli on the primary of a stack, over TLS, as the ACL user `admin`.
# The password goes through the environment: it is in no argv and in no `docker inspect`.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
stack=$1
shift
project=redis-session-kit-$stack
primary=
for sentinel in $(docker ps --filter "label=com.docker.compose.project=$project" --format '{{.Names}}' | grep -- '-sentinel-'); do
  primary=$(docker exec "$sentinel" sh -c 'sh /run/kit/ctl.sh sentinel get-master-addr-by-name "$MASTER_NAME"') && [ -n "$primary" ] && break
done
[ -n "$primary" ] || die "no Sentinel of stack $stack answers" "make up STACK=$stack"
read -r name port <<<"${primary//$'\n'/ }" # two lines
REDISCLI_AUTH=$(cd "$CHECKOUT" && pulumi stack output admin_password --show-secrets --stack "$stack")
export REDISCLI_AUTH
terminal=-i
[ ! -t 0 ] || terminal=-it
exec docker exec "$terminal" -e REDISCLI_AUTH "$project-$name-1" sh -c \
  'cli=$(command -v redis-cli || command -v valkey-cli); exec "$cli" --no-auth-warning --user admin --tls --cacert /run/kit/tls/ca.crt -h "$@"' sh "$name" -p "$port" "$@"

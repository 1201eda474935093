#!/usr/bin/env bash
# status.sh STACK: what runs, and who is primary in the eyes of each Sentinel.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
project=redis-session-kit-$1
docker ps --all --filter "label=com.docker.compose.project=$project" --format 'table {{.Names}}\t{{.Status}}\t{{.Ports}}'
for sentinel in $(docker ps --filter "label=com.docker.compose.project=$project" --format '{{.Names}}' | grep -- '-sentinel-' | sort); do
  name=${sentinel#"$project"-}
  printf '%s names %s as primary; %s\n' "${name%-1}" \
    "$(docker exec "$sentinel" sh -c 'sh /run/kit/ctl.sh sentinel get-master-addr-by-name "$MASTER_NAME"' | paste -sd:)" \
    "$(docker exec "$sentinel" sh -c 'sh /run/kit/ctl.sh sentinel ckquorum "$MASTER_NAME"')"
done

#!/usr/bin/env bash
# shellcheck disable=SC2034  # the names are for those who source it
# The environment of the kit. Sourced by our scripts; run (`make env`), it prints the same for another shell:
#   eval "$(make env)"
# What is already on the PATH comes before what ci/ has installed; only the project's Python environment comes first.
CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$(dirname "${BASH_SOURCE[0]}")/versions.sh"

export KIT_CACHE="${KIT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/redis-session-kit}"

# With another language host of ours it is another directory: a finished directory never changes.
_host=$(cksum <"$CHECKOUT/ci/pulumi-language-python")
KIT_UV="$KIT_CACHE/uv-$UV_VERSION"
KIT_PULUMI="$KIT_CACHE/pulumi-$PULUMI_VERSION-${_host%% *}"
KIT_COMPOSE="$KIT_CACHE/compose-$COMPOSE_VERSION"
_plugin=$(cat "$CHECKOUT"/ci/tools/pulumi-kubernetes/{go.mod,main.go} | cksum)
KIT_PULUMI_KUBERNETES="$KIT_CACHE/pulumi-kubernetes-${_plugin%% *}"
_cluster=$(cat "$CHECKOUT"/ci/tools/{kubernetes,cluster-network}/go.mod "$CHECKOUT"/ci/tools/{kubernetes,cluster-network/*}/main.go | cksum)
KIT_KUBERNETES="$KIT_CACHE/kubernetes-$KUBERNETES_VERSION-${_cluster%% *}"
export KIT_KEYCLOAK="$KIT_CACHE/keycloak-$KEYCLOAK_VERSION"
case "$PATH" in "$CHECKOUT/.venv/bin:"*) ;; *) PATH="$CHECKOUT/.venv/bin:$PATH" ;; esac
for _tool in "$KIT_UV/bin" "$KIT_PULUMI" "$KIT_PULUMI_KUBERNETES" "$KIT_KUBERNETES/bin"; do
  case ":$PATH:" in *":$_tool:"*) ;; *) PATH="$PATH:$_tool" ;; esac
done
unset _host _plugin _cluster _tool
export PATH

# Pulumi: a private state in the checkout, unless the user has chosen another backend or passphrase.
export PULUMI_BACKEND_URL="${PULUMI_BACKEND_URL:-file://$CHECKOUT/.state/pulumi}"
if [ -z "${PULUMI_CONFIG_PASSPHRASE+set}" ] && [ -z "${PULUMI_CONFIG_PASSPHRASE_FILE:-}" ]; then
  export PULUMI_CONFIG_PASSPHRASE_FILE="$CHECKOUT/.state/passphrase"
fi
# git may take the salt out of a stack file (see stack.sh): the state has it too.
export PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER=true
export PULUMI_SKIP_UPDATE_CHECK=true

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  for name in KIT_CACHE KIT_KEYCLOAK PATH PULUMI_BACKEND_URL PULUMI_CONFIG_PASSPHRASE_FILE \
    PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER PULUMI_SKIP_UPDATE_CHECK; do
    [ -z "${!name:-}" ] || printf "export %s='%s'\n" "$name" "${!name//\'/\'\\\'\'}"
  done
fi

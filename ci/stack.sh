#!/usr/bin/env bash
# stack.sh [STACK]: the private state of this checkout and an (empty) Pulumi stack in it, without a change that git sees.
#
# Pulumi saves the salt of the stack's passphrase in stacks/Pulumi.<stack>.yaml. For a stack that every clone has for
# itself, with a passphrase of its own, that line must not be committed: .gitattributes names those stack files, and the
# filter that is set here cuts the line out of what git sees. All else in the file is as usual.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
stack=${1:-dev}
file=stacks/Pulumi.$stack.yaml
state=$CHECKOUT/.state
cd "$CHECKOUT"

private_state() {
  local unsalted
  umask 077
  mkdir -p "$state/pulumi"
  chmod 700 "$state"
  [ "${PULUMI_CONFIG_PASSPHRASE_FILE:-}" = "$state/passphrase" ] || return 0 # the user has his own
  [ ! -s "$state/passphrase" ] || return 0
  if compgen -G "$state/pulumi/.pulumi/stacks/*/*.json*" >/dev/null; then
    die "the passphrase of the stacks in .state/pulumi is gone: their secrets cannot be read" \
      "put .state/passphrase back; or give the stacks up: stop their containers, then remove .state"
  fi
  # A salt of a former passphrase would be refused as "incorrect passphrase".
  unsalted=$(sed '/^encryptionsalt:/d' "$file")
  printf '%s\n' "$unsalted" >"$file"
  head -c 32 /dev/urandom | base64 >"$state/passphrase.partial"
  mv "$state/passphrase.partial" "$state/passphrase"
  say "made the private state of this checkout, with a new passphrase: .state/"
}

# A run that was killed leaves its lock. It is void once its process has gone, on this host: others we cannot see.
void_locks() {
  local lock pid host
  for lock in "${PULUMI_BACKEND_URL#file://}/.pulumi/locks"/*/*/"$stack"/*.json; do
    [ -e "$lock" ] || continue
    pid=$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$lock")
    host=$(sed -n 's/.*"hostname": *"\([^"]*\)".*/\1/p' "$lock")
    if [ "$host" = "$(uname -n)" ] && [ -n "$pid" ] && ! kill -0 "$pid" 2>/dev/null; then
      rm -f "$lock"
      say "removed the lock of a run that was killed (process $pid)"
    fi
  done
}

filtered() { [ -e .git ] && git check-attr filter -- "$file" | grep -q ': pulumi-salt$'; }

[ -f "$file" ] || die "there is no stack file $file" "stack files: $(cd stacks && echo Pulumi.*.yaml)"
! grep -q 'target: kubernetes' "$file" || "$CHECKOUT/ci/pulumi-kubernetes.sh"
locked state private_state
filtered && git config filter.pulumi-salt.clean 'sed /^encryptionsalt:/d'
void_locks
pulumi stack select --create "$stack" --non-interactive >/dev/null
# Same contents for git, but another size on the disk: without this, `git status` would list the file all the same.
if filtered && git diff --quiet -- "$file"; then git add -- "$file"; fi

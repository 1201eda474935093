#!/usr/bin/env bash
# images.sh [IMAGE...]: the public images that a deployment needs are in the engine: found there, else pulled, else, for
# those in stand_in_of, built from Debian's packages under the same name, with a label that says so.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
label=redis-session-kit.stand-in
recipe=$({ cat "$CHECKOUT"/ci/stand-ins/*; echo "$STAND_IN_DEBIAN"; } | sha256 | head -c 12)
base=redis-session-kit/stand-in-base:$recipe

# stand_in_of IMAGE: the target in stand-ins/Dockerfile and the Debian package that the image is about.
stand_in_of() {
  case $1 in
    redis:8) echo redis redis-server ;;
    valkey/valkey:8) echo valkey valkey-server ;;
    nginx:stable) echo nginx nginx ;;
    oliver006/redis_exporter:v1.69.0) echo redis_exporter prometheus-redis-exporter ;;
    python:3.13-slim) echo python python3 ;;
    *) return 1 ;;
  esac
}

# pull IMAGE: gives up when the registry has not answered after 20 s (KIT_REGISTRY_PATIENCE), or the image has not come
# after 15 minutes.
pull() {
  local image=$1 log began=$SECONDS report=15 pid reason=''
  log=$(mktemp)
  say "pulling $image ..."
  docker pull "$image" >"$log" 2>&1 </dev/null &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    if ((SECONDS - began >= ${KIT_REGISTRY_PATIENCE:-20})) && ! grep -q 'Pulling from' "$log"; then reason='the registry does not answer'; fi
    if ((SECONDS - began >= 900)); then reason='not finished after 15 minutes'; fi
    if [ -n "$reason" ]; then kill "$pid"; fi
    if ((SECONDS - began >= report)); then
      say "  pulling $image: $((SECONDS - began)) s so far, $(grep -c 'Pull complete' "$log" || true) layers complete"
      report=$((report + 15))
    fi
  done
  if wait "$pid"; then
    say "pulling $image: done in $((SECONDS - began)) s"
    rm -f "$log"
    return
  fi
  say "cannot pull $image: ${reason:-$(tail -n 1 "$log")}"
  rm -f "$log"
  return 1
}

import_base() { tar -C "$1" --numeric-owner --exclude='./dev/*' -c . | docker import --change "LABEL $label-part=base" - "$base"; }

build_base() {
  local tree=$KIT_CACHE/stand-in-base.partial
  ! docker image inspect "$base" >/dev/null 2>&1 || return 0
  root_on_debian || die "to build stand-ins from Debian's packages, this must run as root on Debian or Ubuntu" \
    "give this machine access to an image registry, or load the images yourself (docker load)"
  if ! has debootstrap || [ ! -f /usr/share/keyrings/debian-archive-keyring.gpg ]; then
    say "debootstrap (makes a small Debian in a directory) is missing: installing it"
    step "installing debootstrap" debian_packages debootstrap debian-archive-keyring
  fi
  rm -rf --one-file-system "$tree"
  mkdir -p "$tree"
  step "installing Debian $STAND_IN_DEBIAN packages for the stand-in images" unshare --mount "$CHECKOUT/ci/stand-ins/base.sh" "$tree"
  step "importing them into the engine" import_base "$tree"
  rm -rf --one-file-system "$tree"
}

build_stand_in() {
  local image=$1 target=$2 package=$3 made_of
  build_base
  # shellcheck disable=SC2016  # dpkg-query fills it in
  made_of="$package $(docker run --rm --network none "$base" dpkg-query -W -f '${Version}' "$package") of Debian $STAND_IN_DEBIAN"
  step "building a stand-in for $image" docker_build --target "$target" --build-arg "BASE=$base" \
    --label "$label=$made_of" --label "$label-recipe=$recipe" --tag "$image" "$CHECKOUT/ci/stand-ins"
  say "*** $image is a STAND-IN, not the official image: $made_of ***"
}

# ensure IMAGE
ensure() {
  local image=$1 stand_in was
  if was=$(docker image inspect -f "{{index .Config.Labels \"$label\"}}|{{index .Config.Labels \"$label-recipe\"}}" "$image" 2>/dev/null); then
    [ -n "${was%|*}" ] || return 0
    if [ "${was#*|}" = "$recipe" ]; then
      say "$image is a stand-in (${was%|*}); for the official image: docker rmi $image, then run this again"
      return
    fi
    say "$image is a stand-in made by another version of the kit"
  elif ((reachable)) && pull "$image"; then
    return
  else
    reachable=0
  fi
  stand_in=$(stand_in_of "$image") || die "the image $image cannot be had, and nothing can stand in for it" \
    "check the name and the access to its registry: docker pull $image"
  # shellcheck disable=SC2086  # two words
  build_stand_in "$image" $stand_in
}

all() {
  local image reachable=1
  for image; do ensure "$image"; done
  docker image prune --force --filter "label=$label-part" >/dev/null # untagged leftovers of our builds only
}

(($#)) || set -- redis:8 nginx:stable oliver006/redis_exporter:v1.69.0 python:3.13-slim
locked images all "$@"

#!/usr/bin/env bash
# The image of the session service, redis-session-kit/session-service:<version>. Its packages are installed here, for the
# image's Python, so that the build needs no network. The label redis-session-kit.content is a hash of all that goes
# into it: an image that has the right one is left alone, and keeps its id.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
label=redis-session-kit.content
service=$CHECKOUT/session_core/service

sources() { find session_core -type f ! -path '*/__pycache__/*' ! -name '*.pyc' -print0 | LC_ALL=C sort -z; }

content() {
  {
    docker image inspect -f '{{.Id}}' "$KIT_PYTHON_IMAGE"
    sources
    sources | xargs -0 cat
  } | sha256 | head -c 32
}

install_packages() {
  local platform
  case $(docker version -f '{{.Server.Arch}}') in
    amd64) platform=x86_64-manylinux_2_28 ;;
    arm64) platform=aarch64-manylinux_2_28 ;;
    *) die "no packages for the engine's architecture $(docker version -f '{{.Server.Arch}}')" ;;
  esac
  uv pip install --target "$1" --python-version 3.13 --python-platform "$platform" --only-binary :all: \
    --require-hashes --requirements "$service/requirements.lock"
}

build() {
  local context=$KIT_CACHE/service-image.partial
  rm -rf "$context"
  mkdir -p "$context/app"
  install_packages "$context/site"
  sources | tar -c --null -T - | tar -x -C "$context/app"
  docker_build --file "$service/Dockerfile" --build-arg "BASE=$KIT_PYTHON_IMAGE" --label "$label=$1" --tag "$image" "$context"
  rm -rf "$context"
}

ensure() {
  local wanted found
  wanted=$(content)
  found=$(docker image inspect -f "{{index .Config.Labels \"$label\"}}" "$image" 2>/dev/null || true)
  [ "$found" = "$wanted" ] && return
  step "building $image" build "$wanted"
  docker image prune --force --filter "label=$label" >/dev/null # its unused predecessors
}

cd "$CHECKOUT"
KIT_PYTHON_IMAGE=${KIT_PYTHON_IMAGE:-python:3.13-slim}
image=redis-session-kit/session-service:$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
docker image inspect "$KIT_PYTHON_IMAGE" >/dev/null 2>&1 || die "the image $KIT_PYTHON_IMAGE is missing" "run: ci/images.sh"
locked service-image ensure

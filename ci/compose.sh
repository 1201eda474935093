#!/usr/bin/env bash
# Compose v2 as a plugin of the docker CLI: what `docker compose` finds, else built from its Go module and linked into
# the user's plugin directory, which leaves his docker configuration as it is.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

works() { at_least 2 "$(docker compose version --short 2>/dev/null || echo 0)"; }

build() {
  cd "$CHECKOUT/ci/tools/compose"
  go_build "$1/docker-compose" github.com/docker/compose/v2/cmd \
    -X "github.com/docker/compose/v2/internal.Version=$COMPOSE_VERSION"
}

works && exit
if [ ! -e "$KIT_COMPOSE" ]; then
  say "\`docker compose\` (v2) is missing: building $COMPOSE_VERSION from its Go module into $KIT_COMPOSE"
  need_go "install the compose plugin: https://docs.docker.com/compose/install/linux/"
  put_in_place "$KIT_COMPOSE" step "building compose $COMPOSE_VERSION (minutes on a small machine)" build
fi
plugins=${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins
mkdir -p "$plugins"
ln -sfn "$KIT_COMPOSE/docker-compose" "$plugins/docker-compose"
say "linked compose as a plugin of the docker CLI: $plugins/docker-compose"
works || die "\`docker compose version\` still fails" "$(docker compose version 2>&1 | head -n 3)"

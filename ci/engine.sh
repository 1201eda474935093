#!/usr/bin/env bash
# A Docker engine that answers: the user's, else Debian's, installed and started here (with the additional options in
# KIT_DOCKERD_OPTIONS, if any).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
log=$KIT_CACHE/dockerd.log

answers() { docker info >/dev/null 2>&1; }

# A pid file whose process has gone, or is another program's by now, keeps the daemon from starting.
drop_stale_pid() {
  [ -f "$1" ] && [ "$(cat "/proc/$(cat "$1")/comm" 2>/dev/null)" != "$2" ] && rm -f "$1"
  return 0
}

wait_until_it_answers() {
  local daemon=${1:-} began=$SECONDS
  until answers; do
    if [ -n "$daemon" ] && ! kill -0 "$daemon" 2>/dev/null; then
      tail -n 15 "$log" | sed 's/^/  | /' >&2
      die "dockerd ended; its output is in $log"
    fi
    ((SECONDS - began < 60)) || die "the Docker engine does not answer after 60 s; see $log"
    sleep 0.5
  done
  say "the Docker engine answers after $((SECONDS - began)) s"
}

start() {
  answers && return
  if [ -d /run/systemd/system ]; then
    say "the Docker engine does not run: systemctl start docker"
    systemctl start docker
    wait_until_it_answers
    return
  fi
  say "the Docker engine does not run and there is no systemd: starting dockerd in the background (log: $log)"
  drop_stale_pid "${KIT_DOCKER_PID:-/var/run/docker.pid}" dockerd
  drop_stale_pid /var/run/docker/containerd/containerd.pid containerd
  # In a session of its own it outlives the shell; 9 is our lock, which it must not keep.
  # shellcheck disable=SC2086  # options, split at blanks
  setsid dockerd ${KIT_DOCKERD_OPTIONS:-} >"$log" 2>&1 </dev/null 9>&- &
  wait_until_it_answers $!
}

answers && exit
if has docker && grep -qi 'permission denied' <<<"$(docker info 2>&1)"; then
  die "the Docker engine runs, but you ($(id -un)) may not use it" \
    "sudo usermod -aG docker $(id -un), then log in again; or rootless Docker: https://docs.docker.com/engine/security/rootless/"
fi
if [ -n "${DOCKER_HOST:-}" ] && [ -z "${KIT_DOCKERD_OPTIONS:-}" ]; then
  die "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST" "start it, or unset DOCKER_HOST to use the one of this machine"
fi
root_on_debian || die "no Docker engine answers" \
  "Linux: sudo systemctl start docker (to install: https://docs.docker.com/engine/install/)" \
  "macOS, Windows: start Docker Desktop, or: colima start"
mkdir -p "$KIT_CACHE"
if ! has dockerd; then
  say "there is no Docker engine on this machine: installing Debian's docker.io and iptables"
  packages=(docker.io iptables)
  has docker || ! apt-cache show docker-cli >/dev/null 2>&1 || packages+=(docker-cli)
  locked engine step "installing ${packages[*]}" debian_packages "${packages[@]}"
fi
locked engine start

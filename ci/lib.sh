# shellcheck shell=bash
# Sourced by the scripts of this folder: how they speak, wait, and put finished things in place.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

say() { printf '%s\n' "kit: $*" >&2; }

# die MESSAGE [REMEDY...]: one message, each remedy on its own line.
die() {
  say "ERROR: $1"
  shift
  printf '       %s\n' "$@" >&2
  exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# at_least WANTED FOUND: whether the version FOUND is WANTED or newer.
at_least() { printf '%s\n' "${1#v}" "${2#v}" | sort -VC; }

sha256() { if has sha256sum; then sha256sum; else shasum -a 256; fi; } # macOS has the second

# root_on_debian: whether this script may install Debian packages.
root_on_debian() { [ "$(id -u)" = 0 ] && has apt-get; }

# step WHAT COMMAND...: runs a slow command, its output in a log file; says what, how long it has been, how it ended.
# An interrupt ends the command too: it runs in a process group of its own, so that its children end with it.
step() {
  local what=$1 log began=$SECONDS report=15 pid code=0
  shift
  mkdir -p "$KIT_CACHE/logs"
  log=$(mktemp "$KIT_CACHE/logs/$(date +%H%M%S)-${1##*/}-XXXXXX")
  say "$what ..."
  set -m
  ("$@") >"$log" 2>&1 </dev/null &
  pid=$!
  set +m
  # shellcheck disable=SC2064  # the values are meant as they are now
  trap "kill -TERM -- -$pid 2>/dev/null; rm -f '$log'; say 'interrupted: $what'; exit 130" INT TERM HUP
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    if ((SECONDS - began >= report)); then
      say "  $what: $((SECONDS - began)) s so far"
      report=$((report + 15))
    fi
  done
  wait "$pid" || code=$?
  trap - INT TERM HUP
  if ((code)); then
    tail -n 25 "$log" | sed 's/^/  | /' >&2
    die "$what failed (exit code $code); the whole output is in $log"
  fi
  rm -f "$log"
  say "$what: done in $((SECONDS - began)) s"
}

# locked NAME COMMAND...: one process at a time on this machine; says so if it has to wait. (macOS has no flock.)
locked() {
  local lock="$KIT_CACHE/locks/$1"
  shift
  if ! has flock; then
    "$@"
    return
  fi
  mkdir -p "${lock%/*}"
  (
    flock -n 9 || { say "another process is at it (lock $lock): waiting" && flock 9; }
    "$@"
  ) 9>"$lock"
}

# put_in_place DIRECTORY BUILD...: DIRECTORY appears finished or not at all. BUILD is called with an empty directory
# beside it as its last argument, under a lock; what an interrupted run left there is removed first.
put_in_place() { [ -e "$1" ] || locked "${1##*/}" _put_in_place "$@"; }

_put_in_place() {
  local target=$1 partial=$1.partial
  shift
  [ ! -e "$target" ] || return 0
  rm -rf "$partial"
  mkdir -p "$partial"
  "$@" "$partial"
  mv "$partial" "$target"
}

# need_go ALTERNATIVE: a Go that can build our tools, or an error that also names the way without it.
need_go() {
  local found
  found=$(go env GOVERSION 2>/dev/null) || found=go0
  # From 1.21 on, Go fetches the toolchain that a module asks for by itself.
  at_least 1.21 "${found#go}" && return
  die "Go ${found#go} cannot build it: Go $GO_NEEDED or newer is needed on the PATH (found: $(command -v go || echo none))" \
    "either $1" "or install Go: https://go.dev/dl/ (the packages of Debian 12 are too old), then run this again"
}

# go_build OUTPUT PACKAGE LDFLAGS...: in the directory of a pinned module; go.sum has the checksum of every input.
go_build() {
  local output=$1 package=$2
  shift 2
  CGO_ENABLED=0 GOFLAGS='' GOWORK=off \
    go build -mod=readonly -trimpath -buildvcs=false -ldflags "-s -w $*" -o "$output" "$package"
}

# debian_packages NAME...: installs them without a question. Waits for another apt that is running.
debian_packages() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get -o DPkg::Lock::Timeout=300 update
  apt-get -o DPkg::Lock::Timeout=300 install --yes "$@"
}

# docker_build OPTION...: builds in the engine itself, with BuildKit where the docker CLI has it.
docker_build() {
  if docker buildx version >/dev/null 2>&1; then
    BUILDX_BUILDER=$(docker context show) docker buildx build --load --provenance=false --network none "$@"
  else
    DOCKER_BUILDKIT=0 docker build --network none "$@"
  fi
}

#!/usr/bin/env bash
# base.sh DIRECTORY: a small Debian in DIRECTORY with the programs of all our stand-in images. Runs as root, in a mount
# namespace of its own: whatever debootstrap mounts there goes away with it.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
packages=redis-server,redis-sentinel,redis-tools,valkey-server,valkey-sentinel,valkey-tools,prometheus-redis-exporter,nginx,python3,ca-certificates

debootstrap --variant=minbase --force-check-gpg --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
  --include="$packages" "$STAND_IN_DEBIAN" "$1"
cd "$1"
rm -rf usr/share/{man,locale,info,lintian} var/lib/apt/lists/* var/cache/* var/log/* var/lib/{redis,valkey}/*
find usr/share/doc -type f ! -name copyright -delete
mkdir -p var/log/nginx var/cache/nginx

#!/usr/bin/env bash
# machine.sh DIRECTORY: a small Debian in DIRECTORY with what a machine of the cluster runs beside Kubernetes. Runs as root,
# in a mount namespace of its own.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

debootstrap --variant=minbase --force-check-gpg --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
  --include=containerd,runc,etcd-server,iptables,conntrack,iproute2,procps,mount,openssl,ca-certificates "$STAND_IN_DEBIAN" "$1"
cd "$1"
rm -rf usr/share/{man,locale,info,lintian} var/lib/apt/lists/* var/cache/* var/log/*
find usr/share/doc -type f ! -name copyright -delete

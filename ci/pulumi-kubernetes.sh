#!/usr/bin/env bash
# Pulumi's plugin for Kubernetes, for stacks with that target: the one on the PATH, else the official one, which Pulumi
# downloads, else one that is built from the plugin's own Go module: the same source, without Pulumi's signature.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
module=github.com/pulumi/pulumi-kubernetes/provider/v4
plugin=pulumi-resource-kubernetes
version=$(sed -n 's/^pulumi-kubernetes==\([0-9.]*\).*/\1/p' "$CHECKOUT/requirements.lock") # of the SDK

official() { pulumi plugin install resource kubernetes "$version" --exact >/dev/null 2>&1; }

build() {
  local source=$1/source
  cp -R "$CHECKOUT/ci/tools/pulumi-kubernetes" "$source"
  cd "$source"
  go mod download "$module"
  install -m 644 "$(go list -mod=readonly -m -f '{{.Dir}}' "$module")/cmd/$plugin/"*.json .
  # "+": for Pulumi the version of the SDK, for people the commit.
  go_build "$1/$plugin" . -X "$module/pkg/version.Version=$version+$(sed -n "s|.*$module v.*-||p" go.mod)"
  rm -r "$source"
}

has "$plugin" || official && exit
say "Pulumi cannot download its plugin for Kubernetes $version: building it from its Go module into $KIT_PULUMI_KUBERNETES"
need_go "let Pulumi download it: pulumi plugin install resource kubernetes $version"
put_in_place "$KIT_PULUMI_KUBERNETES" step "building the plugin for Kubernetes (minutes on a small machine)" build

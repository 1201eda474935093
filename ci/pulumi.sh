#!/usr/bin/env bash
# The Pulumi CLI with what it needs to run a Python program: what is on the PATH, else built from its Go modules.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# The official distribution brings its own language host, beside the CLI or on the PATH.
complete() {
  local cli host
  cli=$(command -v pulumi) || return 1
  [ -x "$(dirname "$(realpath "$cli")")/pulumi-language-python" ] && return
  host=$(command -v pulumi-language-python) && [ "$host" != "$KIT_PULUMI/pulumi-language-python" ]
}

build() {
  local into=$1 sdk
  cd "$CHECKOUT/ci/tools/pulumi"
  go_build "$into/pulumi" github.com/pulumi/pulumi/pkg/v3/cmd/pulumi \
    -X "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=$PULUMI_VERSION"
  sdk=$(go list -mod=readonly -m -f '{{.Dir}}' github.com/pulumi/pulumi/sdk/v3)/python
  install -m 755 "$CHECKOUT/ci/pulumi-language-python" "$sdk/cmd/pulumi-language-python-exec" \
    "$sdk/dist/pulumi-resource-pulumi-python" "$into/"
}

complete && exit
say "no Pulumi with a Python language host on the PATH: building $PULUMI_VERSION from its Go modules into $KIT_PULUMI"
need_go "install Pulumi: https://www.pulumi.com/docs/install/"
put_in_place "$KIT_PULUMI" step "building Pulumi $PULUMI_VERSION (minutes on a small machine)" build

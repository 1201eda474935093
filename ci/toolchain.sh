#!/usr/bin/env bash
# All that a deployment on this machine needs, each part only if it is missing. Images come while the Go tools compile.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$CHECKOUT/ci"

./python.sh
./engine.sh
set -m # a process group of its own, so that it can be ended as a whole
./images.sh &
images=$!
set +m
trap 'kill -TERM -- -$images 2>/dev/null' EXIT
./compose.sh
./pulumi.sh
wait "$images" || die "the images are not complete: see above"
trap - EXIT
./service-image.sh

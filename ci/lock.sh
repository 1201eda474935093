#!/usr/bin/env bash
# Makes the lock files anew from pyproject.toml: after a change of a dependency there. `--upgrade` takes newer versions
# of what pyproject.toml leaves open.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$CHECKOUT"

compile() {
  uv pip compile --universal --generate-hashes --no-emit-index-url --no-annotate --quiet \
    --custom-compile-command ci/lock.sh "$@"
}

# The build backend, and what it asks for when it makes an editable install.
build_requirements() {
  "$CHECKOUT/.venv/bin/python" -c 'import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], "editables", sep="\n")'
}

compile "$@" --all-extras pyproject.toml --output-file requirements.lock
# The service image has a part of it, for its own Python, in the same versions.
compile --extra service --extra telemetry --python-version 3.13 --constraint requirements.lock pyproject.toml \
  --output-file session_core/service/requirements.lock
build_requirements | compile "$@" - --output-file ci/tools/build.lock
echo "uv==$UV_VERSION" | compile - --output-file ci/tools/uv.lock

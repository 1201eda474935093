#!/usr/bin/env bash
# The project's Python environment, .venv: exactly requirements.lock, and the project itself as an editable install.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv=$CHECKOUT/.venv
stamp=$venv/.made-from

fingerprint() { cat requirements.lock pyproject.toml ci/tools/build.lock ci/tools/uv.lock | sha256; }

# Also run in the middle of an interrupted attempt: uv's commands bring any state of .venv to the wanted one.
sync() {
  "$venv/bin/python" -c "" 2>/dev/null || uv venv --clear --python '>=3.11' "$venv"
  uv pip sync --python "$venv" --require-hashes requirements.lock
  uv pip install --python "$venv" --no-deps --build-constraint ci/tools/build.lock --editable .
  fingerprint >"$stamp"
}

install_uv() {
  python3 -m venv "$1"
  "$1/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement ci/tools/uv.lock
}

bring_uv() {
  local code='import ensurepip, sys; sys.exit(sys.version_info < (3, 11))'
  if ! python3 -c "$code" 2>/dev/null && root_on_debian; then
    say "python3 with venv is missing: installing Debian's python3-venv"
    step "installing python3-venv" debian_packages python3-venv
  fi
  python3 -c "$code" || die "Python 3.11 or newer with its venv module is needed" "install it, or uv: https://docs.astral.sh/uv/"
  say "uv (installs Python packages) is not on the PATH: installing $UV_VERSION from PyPI into $KIT_UV"
  put_in_place "$KIT_UV" step "installing uv $UV_VERSION" install_uv
}

cd "$CHECKOUT"
[ -f "$stamp" ] && [ "$(fingerprint)" = "$(cat "$stamp")" ] && [ -x "$venv/bin/python" ] && exit
has uv || bring_uv
locked python step "installing the Python packages of requirements.lock into .venv" sync

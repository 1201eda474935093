#!/usr/bin/env bash
# What only the tests need: Prometheus with promtool (the alerts are tested by it), busybox (a shell of small images), the
# image of Valkey (the session contract is tested on it), Keycloak and a Java for it (logins are tested with it), a browser.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
"$CHECKOUT/ci/images.sh" valkey/valkey:8

missing=()
has promtool && has prometheus || missing+=(prometheus)
has busybox || missing+=(busybox)
has chromium || missing+=(chromium)
has java || missing+=(openjdk-17-jre-headless)
if [ ${#missing[@]} = 0 ]; then exec "$CHECKOUT/ci/keycloak.sh"; fi

root_on_debian || die "the tests need ${missing[*]}, which this machine lacks" \
  "install it with this machine's package manager (Prometheus brings promtool), and see that it is on the PATH"

# Only the programs are wanted: a service that the package has started is stopped again.
install_programs() {
  debian_packages --no-install-recommends "${missing[@]}"
  case " ${missing[*]} " in *" prometheus "*) service prometheus stop || : ;; esac
}

mkdir -p "$KIT_CACHE"
locked packages step "installing Debian's ${missing[*]}, which the tests run" install_programs
exec "$CHECKOUT/ci/keycloak.sh"

#!/usr/bin/env bash
# Keycloak for the tests of logins: the distribution from Maven Central, configured for a throw-away database in memory.
# KIT_MAVEN_URL names another Maven repository (a mirror); the checksum is the same.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
url=${KIT_MAVEN_URL:-https://repo1.maven.org/maven2}/org/keycloak/keycloak-quarkus-dist/$KEYCLOAK_VERSION
[ ! -e "$KIT_KEYCLOAK" ] || exit 0
found=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
((${found:-0} >= 17)) || die "Keycloak needs Java 17 or newer on the PATH (found: ${found:-none})" "install a JRE, then run this again"
has curl || die "curl is needed to fetch Keycloak" "install curl, then run this again"

# fetch DIRECTORY: unpacks the distribution there and builds its configuration, which is most of a first start.
fetch() {
  local zip=$1/keycloak.zip
  curl --silent --show-error --fail --location --retry 3 --output "$zip" "$url/keycloak-quarkus-dist-$KEYCLOAK_VERSION.zip"
  [ "$(sha256 <"$zip" | cut -d' ' -f1)" = "$KEYCLOAK_SHA256" ] ||
    { echo "the checksum of what was fetched is not that of ci/versions.sh" && return 1; }
  python3 -m zipfile -e "$zip" "$1"
  mv "$1/keycloak-$KEYCLOAK_VERSION"/* "$1"
  rmdir "$1/keycloak-$KEYCLOAK_VERSION"
  rm "$zip"
  java -Dkc.home.dir="$1" -Djboss.server.config.dir="$1/conf" -Djava.util.logging.manager=org.jboss.logmanager.LogManager \
    -cp "$1/lib/quarkus-run.jar" io.quarkus.bootstrap.runner.QuarkusEntryPoint build --db=dev-mem
}

say "Keycloak (the tests log in with it) is missing: fetching $KEYCLOAK_VERSION from Maven Central into $KIT_KEYCLOAK"
put_in_place "$KIT_KEYCLOAK" step "fetching and configuring Keycloak $KEYCLOAK_VERSION" fetch

# shellcheck shell=bash disable=SC2034  # the names are for those who source it
# What ci/ brings to a machine that lacks it, and in which version. One line per tool; the Go tools are pinned with the
# checksums of all their modules in tools/*/go.{mod,sum}, the Python ones with hashes in *.lock.
UV_VERSION=0.13.9
PULUMI_VERSION=v3.259.0
COMPOSE_VERSION=v2.40.3
GO_NEEDED=1.25.11 # by Pulumi; compose needs less
STAND_IN_DEBIAN=trixie
KEYCLOAK_VERSION=26.4.7
KEYCLOAK_SHA256=dd9834c023460be856f731423d86228c23b5d002194a2064642bec0cc6573eaa # of the zip at Maven Central
KUBERNETES_VERSION=v1.34.4 # with CoreDNS and the network plugins of tools/cluster-network

"""Certificates of a deployment: one authority of its own, one certificate for each part.

Made by dynamic providers, so that nothing has to be downloaded. The day on which a certificate ends is an *input*,
chosen in `check`: less than 30 days before it, a preview shows a new `not_after`, and `up` renews. The providers are
classes of this module, pickled by name: their code is never part of the state, but under another name they could not
be found by a stack that already exists.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pulumi
from pulumi.dynamic import CheckResult, CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from infra.components.pki import AUTHORITY_DAYS, NODE_DAYS, Certificate, expiry, issue_authority, issue_node

Props = dict[str, Any]
"""Properties of a resource as the engine passes them."""


class _CertificateProvider(ResourceProvider):
    """Keeps a certificate and its key in the state, and issues another one when an input changes."""

    serialize_as_secret_always = False  # a class name is no secret
    days: int
    inputs: tuple[str, ...]
    """Properties that make another certificate when they change."""

    def issue(self, news: Props, olds: Props) -> Certificate:
        raise NotImplementedError

    def check(self, olds: Props, news: Props) -> CheckResult:
        today = datetime.now(UTC).date()
        return CheckResult({**news, "not_after": expiry(olds.get("not_after"), today, self.days)}, [])

    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        return DiffResult(changes=any(olds.get(name) != news.get(name) for name in self.inputs))

    def create(self, props: Props) -> CreateResult:
        return CreateResult(props["common_name"], self._outs(props, {}))

    def update(self, _id: str, olds: Props, news: Props) -> UpdateResult:
        return UpdateResult(self._outs(news, olds))

    def _outs(self, news: Props, olds: Props) -> Props:
        issued = self.issue(news, olds)
        kept = {name: news[name] for name in self.inputs}
        return {**kept, "cert_pem": issued.cert_pem, "key_pem": issued.key_pem}


class _AuthorityProvider(_CertificateProvider):
    days = AUTHORITY_DAYS
    inputs = ("common_name", "not_after")

    def issue(self, news: Props, olds: Props) -> Certificate:
        return issue_authority(news["common_name"], news["not_after"], olds.get("key_pem"))


class _NodeProvider(_CertificateProvider):
    days = NODE_DAYS
    inputs = ("common_name", "names", "not_after", "ca_cert_pem")

    def issue(self, news: Props, _olds: Props) -> Certificate:
        authority = Certificate(news["ca_cert_pem"], news["ca_key_pem"])
        return issue_node(authority, news["common_name"], news["names"], news["not_after"])


class CertificateAuthority(Resource, module="certificates", name="CertificateAuthority"):
    """The authority that all parts of one deployment trust. A renewal keeps its key."""

    cert_pem: pulumi.Output[str]
    key_pem: pulumi.Output[str]
    """Secret."""

    def __init__(self, name: str, common_name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        props = {"common_name": common_name, "not_after": None, "cert_pem": None, "key_pem": None}
        super().__init__(_AuthorityProvider(), name, props, _with_secret_key(opts))


class NodeCertificate(Resource, module="certificates", name="NodeCertificate"):
    """The certificate of one part, for TLS servers and clients, valid for its names and for this host."""

    cert_pem: pulumi.Output[str]
    key_pem: pulumi.Output[str]
    """Secret."""

    def __init__(
        self,
        name: str,
        common_name: str,
        names: Sequence[str],
        authority: CertificateAuthority,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props = {
            "common_name": common_name,
            "names": list(names),
            "ca_cert_pem": authority.cert_pem,
            "ca_key_pem": authority.key_pem,
            "not_after": None,
            "cert_pem": None,
            "key_pem": None,
        }
        super().__init__(_NodeProvider(), name, props, _with_secret_key(opts))


class Certificates(pulumi.ComponentResource):
    """An authority and a certificate for each part of a deployment."""

    ca_pem: pulumi.Output[str]
    nodes: Mapping[str, NodeCertificate]
    """Certificate of each part, by its name."""

    def __init__(
        self, name: str, node_names: Mapping[str, Sequence[str]], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Certify each part (the keys of `node_names`) for the DNS names and IP addresses it is reached by."""
        super().__init__("redis-session-kit:certificates:Certificates", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        authority = CertificateAuthority(f"{name}-authority", f"{name} authority", child)
        self.ca_pem = authority.cert_pem
        self.nodes = {
            node: NodeCertificate(f"{name}-{node}", node, names, authority, child) for node, names in node_names.items()
        }
        self.register_outputs({"ca_pem": self.ca_pem})


def _with_secret_key(opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
    # The dynamic provider server does not pass secrets on: the engine has to mark the key as one again.
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=["key_pem"]))

"""What the providers of certificates and passwords do when the engine calls them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from infra.components.certificates import _AuthorityProvider, _CertificateProvider, _NodeProvider
from infra.components.credentials import _PasswordProvider

Props = dict[str, Any]


def created(provider: _CertificateProvider, inputs: Props) -> tuple[Props, Props]:
    """Return the checked inputs and the outputs of a new resource."""
    checked = provider.check({}, inputs).inputs
    outs = provider.create(checked).outs
    assert outs is not None
    return checked, outs


@pytest.fixture(name="authority")
def _authority() -> Props:
    return created(_AuthorityProvider(), {"common_name": "test authority"})[1]


@pytest.fixture(name="node")
def _node(authority: Props) -> Props:
    return {
        "common_name": "redis-1",
        "names": ["redis-1"],
        "ca_cert_pem": authority["cert_pem"],
        "ca_key_pem": authority["key_pem"],
    }


def in_days(days: int) -> str:
    """Return the ISO day so many days from now."""
    return (datetime.now(UTC).date() + timedelta(days=days)).isoformat()


def names(pem: str) -> list[str]:
    """Return the DNS names that a certificate is valid for."""
    found = x509.load_pem_x509_certificate(pem.encode()).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return found.value.get_values_for_type(x509.DNSName)


def test_an_unchanged_certificate_is_left_alone(node: Props) -> None:
    provider = _NodeProvider()
    inputs, outs = created(provider, node)

    again = provider.check(inputs, node).inputs

    assert again == inputs
    assert provider.diff("redis-1", outs, again).changes is False


def test_another_name_makes_another_certificate_of_the_same_authority(node: Props, authority: Props) -> None:
    provider = _NodeProvider()
    inputs, outs = created(provider, node)

    news = provider.check(inputs, {**node, "names": ["redis-1", "primary"]}).inputs
    assert provider.diff("redis-1", outs, news).changes is True

    updated = provider.update("redis-1", outs, news).outs
    assert updated is not None
    assert names(updated["cert_pem"]) == ["redis-1", "primary", "localhost"]
    x509.load_pem_x509_certificate(updated["cert_pem"].encode()).verify_directly_issued_by(
        x509.load_pem_x509_certificate(authority["cert_pem"].encode())
    )


@pytest.mark.parametrize("days_left", [31, 29, 0])
def test_a_certificate_with_less_than_thirty_days_left_shows_as_a_change(node: Props, days_left: int) -> None:
    provider = _NodeProvider()
    ending = {**node, "not_after": in_days(days_left)}
    outs = provider.create(ending).outs
    assert outs is not None

    news = provider.check(ending, node).inputs

    assert (news["not_after"] != ending["not_after"]) is (days_left < 30)
    assert provider.diff("redis-1", outs, news).changes is (days_left < 30)


def test_a_renewed_authority_keeps_its_key(authority: Props) -> None:
    news = {"common_name": "test authority", "not_after": in_days(4000)}
    provider = _AuthorityProvider()
    assert provider.diff("test authority", authority, news).changes is True

    renewed = provider.update("test authority", authority, news).outs

    assert renewed is not None
    assert renewed["key_pem"] == authority["key_pem"]
    assert renewed["cert_pem"] != authority["cert_pem"]


def test_the_key_of_the_authority_is_not_an_output_of_a_node(node: Props, authority: Props) -> None:
    _, outs = created(_NodeProvider(), node)

    assert authority["key_pem"] not in outs.values()


def test_a_password_stays_until_its_generation_changes() -> None:
    provider = _PasswordProvider()
    outs = provider.create({"generation": 1}).outs
    assert outs is not None

    assert provider.diff("password", outs, {"generation": 1.0}).changes is False
    assert provider.diff("password", outs, {"generation": 2}).changes is True

    updated = provider.update("password", outs, {"generation": 2}).outs
    assert updated is not None
    assert updated["value"] != outs["value"]


def test_a_password_has_256_bits_and_needs_no_quoting() -> None:
    outs = _PasswordProvider().create({"generation": 1}).outs
    assert outs is not None

    assert len(outs["value"]) == 43
    assert outs["value"].replace("-", "").replace("_", "").isalnum()

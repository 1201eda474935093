"""Certificates do what TLS needs of them: shown by real handshakes."""

import ssl
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from infra.components.pki import NODE_DAYS, Certificate, expiry, issue_authority, issue_node

TODAY = date(2026, 3, 1)
FAR = (datetime.now(UTC).date() + timedelta(days=400)).isoformat()


@pytest.fixture(name="authority", scope="module")
def _authority() -> Certificate:
    return issue_authority("test authority", FAR)


def context(purpose: ssl.Purpose, own: Certificate, trusted: str, folder: Path) -> ssl.SSLContext:
    """Return a context that shows `own` and demands a certificate of `trusted` from the other side."""
    made = ssl.create_default_context(purpose, cadata=trusted)
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    file = folder / f"{purpose.name}.pem"
    file.write_text(own.cert_pem + own.key_pem)
    made.load_cert_chain(file)
    return made


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, hostname: str) -> None:
    """Complete a TLS handshake in memory, or raise what either side found wrong."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=hostname),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(10):
        for side in list(sides):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            sides.remove(side)
    assert not sides


def shake(authority: Certificate, trusted: Certificate, hostname: str, folder: Path) -> None:
    """Let two parts of `authority` meet under `hostname`, both trusting `trusted`."""
    node = issue_node(authority, "redis-1", ["redis-1", "10.0.0.7"], FAR)
    server = context(ssl.Purpose.CLIENT_AUTH, node, trusted.cert_pem, folder)
    client = context(ssl.Purpose.SERVER_AUTH, node, trusted.cert_pem, folder)
    handshake(server, client, hostname)


@pytest.mark.parametrize("hostname", ["redis-1", "localhost", "127.0.0.1", "10.0.0.7"])
def test_two_parts_trust_each_other_under_every_name(authority: Certificate, hostname: str, tmp_path: Path) -> None:
    shake(authority, authority, hostname, tmp_path)


def test_another_name_is_not_trusted(authority: Certificate, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake(authority, authority, "redis-2", tmp_path)


def test_a_part_of_another_deployment_is_not_trusted(authority: Certificate, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(authority, issue_authority("test authority", FAR), "redis-1", tmp_path)


def test_a_renewed_authority_and_the_one_before_trust_the_same_parts(authority: Certificate, tmp_path: Path) -> None:
    renewed = issue_authority("test authority", FAR, authority.key_pem)

    assert renewed.cert_pem != authority.cert_pem
    shake(authority, renewed, "redis-1", tmp_path)
    shake(renewed, authority, "redis-1", tmp_path)


def test_a_node_cannot_sign_for_others(authority: Certificate, tmp_path: Path) -> None:
    node = issue_node(authority, "redis-1", ["redis-1"], FAR)
    forged = issue_node(node, "redis-1", ["redis-1"], FAR)
    chain = Certificate(forged.cert_pem + node.cert_pem, forged.key_pem)
    server = context(ssl.Purpose.CLIENT_AUTH, chain, authority.cert_pem, tmp_path)
    client = context(ssl.Purpose.SERVER_AUTH, node, authority.cert_pem, tmp_path)

    with pytest.raises(ssl.SSLCertVerificationError, match="invalid CA certificate"):
        handshake(server, client, "redis-1")


def test_a_certificate_is_valid_from_24_hours_back_to_the_day_given(authority: Certificate) -> None:
    certificate = x509.load_pem_x509_certificate(
        issue_node(authority, "redis-1", ["redis-1"], "2027-05-06").cert_pem.encode()
    )

    assert certificate.not_valid_after_utc == datetime(2027, 5, 6, tzinfo=UTC)
    backdated = datetime.now(UTC) - certificate.not_valid_before_utc
    assert timedelta(hours=24) <= backdated < timedelta(hours=24, minutes=5)


def test_every_certificate_of_a_part_has_a_key_of_its_own(authority: Certificate) -> None:
    first, second = (issue_node(authority, "redis-1", ["redis-1"], FAR) for _ in range(2))

    assert first.key_pem != second.key_pem


def test_a_private_key_does_not_show_when_a_certificate_is_printed(authority: Certificate) -> None:
    assert "PRIVATE KEY" not in repr(authority)


def test_a_certificate_with_thirty_days_left_is_kept() -> None:
    assert expiry("2026-03-31", TODAY, NODE_DAYS) == "2026-03-31"


@pytest.mark.parametrize("previous", [None, "2026-03-30", "2026-01-01"])
def test_a_certificate_that_is_new_or_has_less_than_thirty_days_left_gets_another_day(previous: str | None) -> None:
    not_after = date.fromisoformat(expiry(previous, TODAY, NODE_DAYS))

    longest = not_after - (TODAY - timedelta(days=1))  # valid from 24 hours before today
    assert longest <= timedelta(days=825)
    assert not_after > TODAY + timedelta(days=800)

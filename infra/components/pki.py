"""X.509 for one deployment: an authority of its own and a certificate for each part. No Pulumi, no I/O.

Keys are EC P-256. A certificate says until when it is valid by a day (UTC); the day is chosen by `expiry`,
so that whoever keeps it can tell a renewal before it happens.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
NODE_DAYS = 825
"""The longest a server certificate may be valid for Apple's clients (support.apple.com/HT210176)."""
RENEWAL = timedelta(days=30)
BACKDATED = timedelta(hours=24)
"""A certificate is valid from so long ago, for parts whose clock is behind."""
LOCAL_NAMES = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Certificate:
    """A certificate and its private key, both PEM."""

    cert_pem: str
    key_pem: str = field(repr=False)


def expiry(previous: str | None, today: date, days: int) -> str:
    """Return the ISO day on which a certificate of `days` ends: the `previous` one until renewal is due."""
    if previous and date.fromisoformat(previous) >= today + RENEWAL:
        return previous
    return (today + timedelta(days=days - 1)).isoformat()  # the 24 h before now are part of `days`


def issue_authority(common_name: str, not_after: str, key_pem: str | None = None) -> Certificate:
    """Return a self-signed authority, valid to the ISO day `not_after`.

    With the key of the previous one it is a renewal: what that one signed stays valid under the new certificate.
    """
    key = _key(key_pem)
    name = _name(common_name)
    builder = (
        _builder(name, name, key.public_key(), not_after)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
    )
    return Certificate(_pem(builder.sign(key, hashes.SHA256())), _key_as_pem(key))


def issue_node(authority: Certificate, common_name: str, names: list[str], not_after: str) -> Certificate:
    """Return a certificate with a new key, for TLS servers and clients, valid for `names` and this host.

    `names` are DNS names or IP addresses; `localhost` and `127.0.0.1` are always among them.
    """
    key = _key(None)
    issuer, issuer_key = x509.load_pem_x509_certificate(authority.cert_pem.encode()), _key(authority.key_pem)
    builder = (
        _builder(_name(common_name), issuer.subject, key.public_key(), not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(
            x509.SubjectAlternativeName([_general_name(name) for name in dict.fromkeys([*names, *LOCAL_NAMES])]),
            critical=False,
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    return Certificate(_pem(builder.sign(issuer_key, hashes.SHA256())), _key_as_pem(key))


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, not_after: str
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - BACKDATED)
        .not_valid_after(datetime.combine(date.fromisoformat(not_after), time(), UTC))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key(pem: str | None) -> ec.EllipticCurvePrivateKey:
    if pem is None:
        return ec.generate_private_key(ec.SECP256R1())
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the key of the authority is not an elliptic curve key")
    return key


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_as_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()

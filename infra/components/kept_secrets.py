"""Passwords and certificates of a deployment without Pulumi, in one JSON file beside its rendered files."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from cryptography import x509
from pydantic import BaseModel, ConfigDict, ValidationError

from infra.components.credentials import PASSWORD_BYTES
from infra.components.pki import AUTHORITY_DAYS, NODE_DAYS, RENEWAL, Certificate, expiry, issue_authority, issue_node
from infra.render.passwords import ADMIN_TOKEN, USERS


class SecretsError(ValueError):
    """The file cannot be used; the message names it and what is wrong, and never a secret."""


class Pair(BaseModel):
    """A certificate and its private key, both PEM."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    cert_pem: str
    key_pem: str


class KeptSecrets(BaseModel):
    """All secrets of one deployment."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    passwords: Mapping[str, str] = {}
    """By ACL user; the service's own admin token among them."""
    generation: int = 1
    """Of the passwords."""
    former: Mapping[str, str] = {}
    """Passwords of the generation before."""
    coming: Mapping[str, str] = {}
    """Passwords of the next generation."""
    authority: Pair | None = None
    certificates: Mapping[str, Pair] = {}
    """By part."""


def read(path: Path) -> KeptSecrets:
    """Read a file that `completed` has been written to.

    Raises:
        SecretsError: it cannot be read or has another form.

    """
    try:
        return KeptSecrets.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SecretsError(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    lines = [f"  {'.'.join(map(str, each['loc'])) or 'file'}: {each['msg']}" for each in details]
    raise SecretsError("\n".join([f"{path}: cannot be used as a file of secrets", *lines]))


def completed(kept: KeptSecrets, name: str, certified: Mapping[str, Sequence[str]]) -> KeptSecrets:
    """`kept` with what it lacks, and with new certificates in place of those that end within 30 days.

    `certified`: the names that each part is reached by.

    A password is 256 random bits. An authority that is renewed keeps its key, so that its certificates stay valid.
    """
    today = datetime.now(UTC).date()
    authority = kept.authority
    if authority is None or _ends_soon(authority, today):
        key = authority.key_pem if authority else None
        authority = _pair(issue_authority(f"{name} authority", expiry(None, today, AUTHORITY_DAYS), key))
    known = kept.certificates if kept.authority else {}
    signer = Certificate(authority.cert_pem, authority.key_pem)
    passwords = {user: secrets.token_urlsafe(PASSWORD_BYTES) for user in (*USERS, ADMIN_TOKEN)} | {**kept.passwords}
    return kept.model_copy(
        update={
            "passwords": passwords,
            "authority": authority,
            "certificates": {
                part: known[part]
                if part in known and not _ends_soon(known[part], today) and _names(known[part]) >= {*names}
                else _pair(issue_node(signer, part, list(names), expiry(None, today, NODE_DAYS)))
                for part, names in certified.items()
            },
        }
    )


def of_generation(kept: KeptSecrets, wanted: int) -> KeptSecrets:
    """`kept` with the passwords of a generation and of its neighbours: nodes take all, whoever is replaced first.

    The service's own token has no generations.

    Raises:
        SecretsError: it is neither the present generation nor the next one, or that one's passwords are known nowhere.

    """
    coming = {user: secrets.token_urlsafe(PASSWORD_BYTES) for user in USERS}
    if not kept.passwords:
        return kept.model_copy(update={"generation": wanted, "coming": coming})
    if wanted == kept.generation:
        return kept.model_copy(update={"coming": kept.coming or coming})
    if wanted != kept.generation + 1 or not kept.coming:
        now = f"now it is {kept.generation}"
        first = (
            "" if kept.coming else f": apply what is rendered with {kept.generation} first, so that the next are known"
        )
        raise SecretsError(f"kubernetes.passwordGeneration: {wanted} must be raised by one at a time, {now}{first}")
    former = {user: kept.passwords[user] for user in USERS}
    return kept.model_copy(
        update={
            "generation": wanted,
            "former": former,
            "passwords": {**kept.passwords, **kept.coming},
            "coming": coming,
        }
    )


def without_certificates(kept: KeptSecrets) -> KeptSecrets:
    """`kept` without those of the parts, so that each gets a new one of the same authority."""
    return kept.model_copy(update={"certificates": {}})


def _ends_soon(pair: Pair, today: date) -> bool:
    return x509.load_pem_x509_certificate(pair.cert_pem.encode()).not_valid_after_utc.date() < today + RENEWAL


def _names(pair: Pair) -> set[str]:
    names = x509.load_pem_x509_certificate(pair.cert_pem.encode()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    return set(names.value.get_values_for_type(x509.DNSName))


def _pair(issued: Certificate) -> Pair:
    return Pair(cert_pem=issued.cert_pem, key_pem=issued.key_pem)

"""Types of single settings. The message of each error is the bound, to be read after "must be"."""

import re
from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from cryptography import x509
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

MEBIBYTE = 1024 * 1024
SMALLEST_MAXMEMORY = 8 * MEBIBYTE
HIGHEST_PORT = 65_535
SHORTEST_KEY = 32
"""Bytes of a key for HS256: as many as its hash has (RFC 7518 section 3.2)."""

# redis.conf: "1k => 1000 bytes, 1kb => 1024 bytes, ... units are case insensitive".
UNITS = {"": 1, "b": 1, "k": 1000, "kb": 1024, "m": 1000**2, "mb": 1024**2, "g": 1000**3, "gb": 1024**3}

# The policies that Redis >= 7.2 and Valkey >= 8 share (redis.conf, "maxmemory-policy").
MaxmemoryPolicy = Literal[
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
]


def parse_bytes(value: object) -> int:
    """Bytes meant by `value`, in the units of redis.conf (`256mb` is 256 x 1024 x 1024)."""
    match = re.fullmatch(r"([0-9]+)\s*([a-z]*)", str(value).strip().lower())
    unit = UNITS.get(match[2]) if match else None
    if match is None or unit is None or int(match[1]) * unit < SMALLEST_MAXMEMORY:
        raise ValueError(
            f"a number of bytes with the unit k, kb, m, mb, g or gb, at least {SMALLEST_MAXMEMORY // MEBIBYTE}mb"
        )
    return int(match[1]) * unit


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("an odd number: an even one survives no more failures than the odd number below it")
    return value


def _save_points(value: str) -> str:
    words = value.split()
    if len(words) % 2 or not all(re.fullmatch(r"0*[1-9][0-9]*", word) for word in words):
        raise ValueError("pairs of <seconds> <changes>, each a whole number above 0, or nothing for no RDB snapshots")
    return " ".join(words)


def _image(value: str) -> str:
    # The grammar of github.com/distribution/reference, without its rarer forms.
    path = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
    name = rf"(?:[A-Za-z0-9.-]+(?::[0-9]+)?/)?{path}(?:/{path})*"
    tag, digest = r":[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", r"@sha256:[0-9a-f]{64}"
    if not re.fullmatch(rf"{name}(?:{tag}(?:{digest})?|{digest})", value):
        raise ValueError("an image reference with a tag or digest: without one it means whatever was pushed last")
    return value


def _master_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", value):  # charset: sentinel.conf, "sentinel monitor"
        raise ValueError("1 to 64 of the characters A-Z a-z 0-9 . - _")
    return value


def _https(value: str) -> str:
    return _url(value, ("https",), "an address such as https://login.example.org: no user, query or fragment")


def _receiver(value: str) -> str:
    return _url(value, ("https", "http"), "an address such as http://collector:4318: no user, query or fragment")


def _url(value: str, schemes: tuple[str, ...], bound: str) -> str:
    if not value:
        return value
    try:
        parts = urlsplit(value)
        good = parts.scheme in schemes and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        raise ValueError(bound) from None
    if not good or not re.fullmatch(r"[!-~]+", value) or re.search(r"[?#\\\"<>;,]", value):
        raise ValueError(bound)
    return value.rstrip("/")


def _reachable(value: str) -> str:
    url = _https(value)
    if _is_loopback(urlsplit(url).hostname or ""):
        raise ValueError("an address that the service reaches as well: in a container localhost is the container")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _origin(value: str) -> str:
    url = _https(value)
    if urlsplit(url).path:
        raise ValueError("an origin such as https://sessions.example.org, without a path")
    return url.lower()


def _origins(value: str) -> str:
    return ",".join(_origin(each.strip()) for each in value.split(",") if each.strip())


def _word(value: str) -> str:
    if not re.fullmatch(r"[!-~]{0,255}", value):
        raise ValueError("at most 255 printable ASCII characters without blanks")
    return value


def _name(value: str) -> str:
    if not value:
        raise ValueError("1 to 255 printable ASCII characters without blanks")
    return _word(value)


def _certificates(value: str) -> str:
    if not value.strip():
        return ""
    bound = "certificates in PEM, each with its lines BEGIN CERTIFICATE and END CERTIFICATE, and nothing else"
    rest = re.sub(r"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----", "", value)
    try:
        found = x509.load_pem_x509_certificates(value.encode())
    except ValueError:
        raise ValueError(bound) from None
    if not found or rest.strip():  # a private key may be in the rest
        raise ValueError(bound)
    return value.strip() + "\n"


def _given(value: object) -> bool:
    return value if isinstance(value, bool) else bool(str(value).strip())


def _given_key(value: object) -> bool:
    if isinstance(value, str) and value and len(value.encode()) < SHORTEST_KEY:
        raise ValueError(f"at least {SHORTEST_KEY} bytes: a shorter key is found from any token")
    return _given(value)


def _matching(pattern: str, bound: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(bound)
        return value

    return AfterValidator(check)


def _node_labels(value: str) -> str:
    pairs = [each.partition("=")[::2] for each in value.split(",")] if value else []
    if not re.fullmatch(rf"({_PAIR}(,{_PAIR})*)?", value) or len(dict(pairs)) < len(pairs):
        raise ValueError("KEY=VALUE,..., each key once, such as pool=sessions,kubernetes.io/arch=amd64, or empty")
    return value


_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"  # RFC 1123, as Kubernetes asks for it
# Kubernetes, "Labels and Selectors": a prefix, which is a DNS name, and names of at most 63 characters.
_NAME = "[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_KEY = rf"({_LABEL}(\.{_LABEL})*/)?{_NAME}"
_PAIR = rf"{_KEY}=({_NAME})?"
_TAINT = rf"{_KEY}(=({_NAME})?)?:(NoSchedule|PreferNoSchedule|NoExecute)"

Bytes = Annotated[int, BeforeValidator(parse_bytes, json_schema_input_type=str)]
Certificates = Annotated[str, AfterValidator(_certificates)]
ChartSource = Annotated[
    str,
    _matching(
        r"((oci|https)://[!-~]+|/.+|\.\.?/.+)?",
        "an address oci://... or https://..., a path that begins with / or ./, or empty",
    ),
]
ContextName = Annotated[str, _matching(r"([^\s-]\S*)?", "the name of a context of the kubeconfig, or empty")]
DnsLabel = Annotated[str, _matching(rf"({_LABEL})?", "1 to 63 of the characters a-z 0-9 -, or empty")]
DnsName = Annotated[str, _matching(rf"({_LABEL}(\.{_LABEL})*)?", "a DNS name in lower case, or empty")]
IssuerName = Annotated[
    str,
    _matching(
        rf"((Cluster)?Issuer/{_LABEL}(\.{_LABEL})*)?", "Issuer/NAME or ClusterIssuer/NAME of cert-manager, or empty"
    ),
]
GatewayName = Annotated[str, _matching(rf"({_LABEL}/{_LABEL}(\.{_LABEL})*)?", "NAMESPACE/NAME, or empty")]
_SECRET = WithJsonSchema({"type": "string", "default": "", "secret": True})
Given = Annotated[bool, BeforeValidator(_given), _SECRET]
"""Whether a secret is set: what it is, is not kept."""
GivenKey = Annotated[bool, BeforeValidator(_given_key), _SECRET]
"""Whether the key of a signature is set."""
HeaderName = Annotated[str, _matching(r"[A-Za-z0-9-]*", "the name of a header, such as X-Forwarded-For, or empty")]
Image = Annotated[str, AfterValidator(_image)]
MasterName = Annotated[str, AfterValidator(_master_name)]
Name = Annotated[str, AfterValidator(_name)]
NodeLabels = Annotated[str, AfterValidator(_node_labels)]
Odd = Annotated[int, AfterValidator(_odd)]
Origin = Annotated[str, AfterValidator(_origin)]
Origins = Annotated[str, AfterValidator(_origins)]
Port = Annotated[int, Field(ge=1024, le=HIGHEST_PORT)]
Quantity = Annotated[str, _matching(r"[1-9][0-9]*(Mi|Gi|Ti)", "a size with the unit Mi, Gi or Ti, such as 2Gi")]
Reachable = Annotated[str, AfterValidator(_reachable)]
Receiver = Annotated[str, AfterValidator(_receiver)]
SavePoints = Annotated[str, AfterValidator(_save_points)]
Taints = Annotated[
    str,
    _matching(
        rf"({_TAINT}(,{_TAINT})*)?",
        "KEY=VALUE:EFFECT,... or KEY:EFFECT for every value, such as pool=sessions:NoSchedule, or empty; "
        "effects are NoSchedule, PreferNoSchedule and NoExecute",
    ),
]
Word = Annotated[str, AfterValidator(_word)]

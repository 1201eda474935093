"""Types of single settings. The message of each error is the bound, to be read after "must be"."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

MEBIBYTE = 1024 * 1024
SMALLEST_MAXMEMORY = 8 * MEBIBYTE
HIGHEST_PORT = 65_535

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


Bytes = Annotated[int, BeforeValidator(parse_bytes, json_schema_input_type=str)]
Image = Annotated[str, AfterValidator(_image)]
MasterName = Annotated[str, AfterValidator(_master_name)]
Odd = Annotated[int, AfterValidator(_odd)]
Port = Annotated[int, Field(ge=1024, le=HIGHEST_PORT)]
SavePoints = Annotated[str, AfterValidator(_save_points)]

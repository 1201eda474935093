"""REDIS_URL and REDIS_ADDRESS_MAP."""

import pytest

from session_core.address import Address, Target, parse_map, parse_url
from session_core.errors import SettingsError


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("redis://redis-session:6379/0", Target((Address("redis-session", 6379),))),
        ("redis://h", Target((Address("h", 6379),))),
        ("rediss://h:6380/2", Target((Address("h", 6380),), tls=True, db=2)),
        ("redis://[::1]:7/0", Target((Address("::1", 7),))),
        ("redis://u:p%40%2F%3A@h", Target((Address("h", 6379),), username="u", password="p@/:")),
        ("redis://:p@h/", Target((Address("h", 6379),), password="p")),
        ("unix:///run/redis.sock", Target((), path="/run/redis.sock")),
        (
            "redis-sentinel://redis-session:26379/mymaster",
            Target((Address("redis-session", 26379),), master="mymaster"),
        ),
        ("redis-cluster://a:7001", Target((Address("a", 7001),), cluster=True)),
        (
            "rediss-cluster://u:p@a:1,b/0",
            Target((Address("a", 1), Address("b", 6379)), tls=True, cluster=True, username="u", password="p"),
        ),
        (
            "rediss-sentinel://u:p@a:1,b,c:3/main/4",
            Target(
                (Address("a", 1), Address("b", 26379), Address("c", 3)),
                tls=True,
                master="main",
                db=4,
                username="u",
                password="p",
            ),
        ),
    ],
)
def test_every_form_of_the_url_is_read(url: str, target: Target) -> None:
    assert parse_url(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h:6379",
        "http://h",
        "redis://",
        "redis://a,b/0",
        "redis://h:0x1/0",
        "redis://h:99999",
        "redis://h:0",
        "redis://[::1]x:1",
        "redis-sentinel://a,user:password@b/m",
        "redis://h/zero",
        "redis://h/0/1",
        "redis://h/0?db=1",
        "redis-cluster://a:1,b:2/1",
        "redis-cluster://",
        "redis-sentinel://a:1,b:2",
        "redis-sentinel://a:1,,b:2/m",
        "unix://relative",
    ],
)
def test_anything_else_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SettingsError, match="REDIS_URL") as refusal:
        parse_url(url)
    assert not url or url not in str(refusal.value)


def test_the_map_sends_announced_names_to_where_they_can_be_reached() -> None:
    found = parse_map("redis-1:6379=127.0.0.1:7001, redis-2:6379=[::1]:7002")
    assert found.dial(Address("redis-1", 6379)) == Address("127.0.0.1", 7001)
    assert found.dial(Address("redis-2", 6379)) == Address("::1", 7002)
    assert found.dial(Address("redis-3", 6379)) == Address("redis-3", 6379)


def test_the_short_form_of_the_map_keeps_the_port() -> None:
    found = parse_map("*=127.0.0.1,special:1=10.0.0.1:2")
    assert found.dial(Address("redis-1", 6381)) == Address("127.0.0.1", 6381)
    assert found.dial(Address("special", 1)) == Address("10.0.0.1", 2)
    assert parse_map("*=[::1]").dial(Address("redis-1", 6381)) == Address("::1", 6381)


def test_an_address_is_written_as_in_a_url() -> None:
    assert str(Address("redis-1", 6379)) == "redis-1:6379"
    assert str(Address("::1", 6379)) == "[::1]:6379"


@pytest.mark.parametrize(
    "text",
    ["redis-1", "redis-1=1.2.3.4", "redis-1:1=1.2.3.4", "*=", "=x:1", "a:1=b:c", "a:0=b:1", "*=b:1", "*=[::1]:5"],
)
def test_a_malformed_map_is_refused_with_the_entry(text: str) -> None:
    with pytest.raises(SettingsError, match="REDIS_ADDRESS_MAP"):
        parse_map(text)

"""Why some mutants live: they change nothing that anybody can observe. By file and what the line became."""

REASONS: dict[tuple[str, str], str] = {
    ("refresh", "if threshold > ttl then"): "killed since: the model sends a threshold that equals the TTL",
    ("refresh", "if target > expires and (threshold <= 0 or expires - now < threshold) then"): (
        "no caller sends a threshold of 0: SESSION_REFRESH_THRESHOLD is at least 1 s"
    ),
    ("refresh", "if target > expires and (threshold < 0 or expires - now <= threshold) then"): (
        "an extension one millisecond earlier: nothing promises such precision"
    ),
    ("refresh", "if target >= expires and (threshold < 0 or expires - now < threshold) then"): (
        "killed since: test_nothing_extends_a_session_beyond_its_absolute_lifetime looks at last_seen_at too"
    ),
    ("revoke", "if true then spared = digest_of(load_current(session_key(tag, spared), now)) end"): (
        "of an empty digest no key has a digest either: `spared` becomes nil, which equals no session as '' does"
    ),
}

"""Why some mutants live: they change nothing that anybody can observe. By file and what the line became."""

REASONS: dict[tuple[str, str], str] = {
    ("create", "while held >= 0 do"): "one more look, which finds nothing dead and ends the loop",
    ("refresh", "if target > expires and (threshold <= 0 or expires - now < threshold) then"): (
        "no caller sends a threshold of 0: SESSION_REFRESH_THRESHOLD is at least 1 s"
    ),
    ("refresh", "if target > expires and (threshold < 0 or expires - now <= threshold) then"): (
        "an extension one millisecond earlier: nothing promises such precision"
    ),
    ("revoke", "if true then spared = digest_of(load_current(session_key(tag, spared), now)) end"): (
        "of an empty digest no key has a digest either: `spared` becomes nil, which equals no session as '' does"
    ),
}

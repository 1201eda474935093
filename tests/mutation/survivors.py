"""Why some mutants live: they change nothing that anybody can observe. By file and what the line became."""

REASONS: dict[tuple[str, str], str] = {
    ("revoke", "if true then spared = digest_of(load_current(session_key(tag, spared), now)) end"): (
        "of an empty digest no key has a digest either: `spared` becomes nil, which equals no session as '' does"
    ),
}

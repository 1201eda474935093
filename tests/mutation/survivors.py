"""Why some mutants live: they change nothing that anybody can observe."""

REASONS: dict[tuple[str, str], str] = {}

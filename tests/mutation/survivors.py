"""Why some mutants live: they change nothing that anybody can observe. By file, the line before and after."""

_SLIDE = "if target > expires and (threshold < 0 or expires - now < threshold) then"
_SPARED = "spared = digest_of(load_current(session_key(tag, spared), now)) end"

_FEWER = "if #digests < redis.call('ZCARD', by_expiry(tag, user)) then"

REASONS: dict[tuple[str, str, str], str] = {
    ("common", _FEWER, "if true then"): "saves a read only: where one set names what the other does, nothing is added",
    ("common", _FEWER, _FEWER.replace("<", "<=")): "as above",
    ("create", "while held > 0 do", "while held >= 0 do"): "one more look, which finds nothing dead and ends the loop",
    (
        "create",
        "if a.seen ~= b.seen then return a.seen < b.seen end",
        "if a.seen ~= b.seen then return a.seen <= b.seen end",
    ): "they differ there",
    ("create", "return a.rank < b.rank", "return a.rank <= b.rank"): "no two have the same rank",
    ("create", "if redis.call('EXISTS', key) == 1 then", "if true then"): (
        "EXISTS only saves a read: of a key that is not there, `load` finds nothing, and nothing is deleted"
    ),
    ("create", "if held == 0 then", "if false then"): "saves a read only: `settle` finds the end of the one session",
    ("refresh", _SLIDE, "if target > expires and (threshold <= 0 or expires - now < threshold) then"): (
        "no caller sends a threshold of 0: SESSION_REFRESH_THRESHOLD is at least 1 s"
    ),
    ("refresh", _SLIDE, "if target > expires and (threshold < 0 or expires - now <= threshold) then"): (
        "an extension one millisecond earlier: nothing promises such precision"
    ),
    ("revoke", f"if spared ~= '' then {_SPARED}", f"if true then {_SPARED}"): (
        "of an empty digest no key has a digest either: `spared` becomes nil, which equals no session as '' does"
    ),
}

"""Which slot a call belongs to; no server."""

from typing import Any

import pytest
from redis.crc import key_slot

from session_core import protocol
from session_core.ids import Ref
from session_core.protocol import Call
from session_core.records import Burial, Limit, NewSession, Note, Rotation
from session_core.scripts import as_script
from session_core.slots import by_slot, held_while_moving, slot_of

BURIAL = Burial(60_000, 10)
REF = Ref(7, "digest")
CALLS: list[Call[Any]] = [
    protocol.read(REF),
    protocol.create(NewSession(REF, "user", 1, 1, b"{}", b"", b"", "v"), Limit(0, "oldest"), BURIAL),
    protocol.refresh(REF, 0),
    protocol.revoke(REF, Note(), BURIAL),
    protocol.rotate(Rotation(REF, Ref(7, "other"), "v", "w", b"", 0), BURIAL),
    protocol.count(["session_index:{7}"]),
    protocol.users(["session_index:{7}:users"], 10),
    protocol.events({"session_events:{7}": "0-0"}, 0),
    protocol.events({"session_events:{7}": "0-0"}, 100),
    protocol.clock("user_sessions:{7}:user"),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: "-".join(map(str, call.words[:2])))
def test_a_call_belongs_to_the_slot_of_its_keys_also_as_a_script(call: Call[Any]) -> None:
    assert slot_of(call) == slot_of(as_script(call, whole=False)) == slot_of(as_script(call, whole=True))
    assert slot_of(call) == key_slot(b"{7}")


def test_each_bucket_has_a_slot_of_its_own_so_that_pages_are_of_whole_buckets() -> None:
    assert by_slot(protocol.user_index_keys(3)) == [(key,) for key in protocol.user_index_keys(3)]


def test_a_function_declares_a_key_more_and_keeps_its_arguments() -> None:
    rotate = held_while_moving(CALLS[4]).words
    assert rotate[:6] == ("FCALL", "session_rotate_v1", 3, "session:{7}:digest", "session:{7}:other", "session:{7}:")
    assert rotate[6:] == CALLS[4].words[5:]
    script = as_script(CALLS[2], whole=False)
    assert held_while_moving(script).words == (*script.words[:2], 2, script.words[3], "session:{7}:", *script.words[4:])
    for plain in (CALLS[0], CALLS[7], CALLS[9], protocol.revision()):
        assert held_while_moving(plain) is plain

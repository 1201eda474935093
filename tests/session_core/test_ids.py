"""Session ids and handles (S1)."""

import re
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_core.errors import InvalidSessionId
from session_core.ids import BUCKETS, bucket_of, is_handle, new_session_id, ref_of, ref_of_either

USERS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=50)


@given(USERS)
def test_an_id_names_the_bucket_of_its_user_and_its_handle_names_the_same_place(user: str) -> None:
    session_id = new_session_id(user)
    ref = ref_of(session_id)
    assert ref.bucket == bucket_of(user) < BUCKETS
    assert ref_of_either(ref.handle) == ref == ref_of_either(session_id)


def test_ids_do_not_repeat_and_carry_256_bits() -> None:
    ids = {new_session_id("alice") for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"\d+\.[A-Za-z0-9_-]{43}", one) for one in ids)
    characters = "".join(one.partition(".")[2][:42] for one in ids)
    assert len(set(characters)) == 64


def test_a_handle_holds_the_digest_and_not_the_id() -> None:
    session_id = new_session_id("alice")
    handle = ref_of(session_id).handle
    assert session_id.partition(".")[2] not in handle
    assert is_handle(handle)
    assert not is_handle(session_id)
    assert len(sha256(session_id.encode()).digest()) == 32


def test_a_handle_is_no_session_id_and_the_error_does_not_repeat_it() -> None:
    handle = ref_of(new_session_id("alice")).handle
    with pytest.raises(InvalidSessionId) as refusal:
        ref_of(handle)
    assert handle not in str(refusal.value)


@given(st.text(max_size=60))
def test_no_other_text_is_taken_for_an_id(text: str) -> None:
    if not re.fullmatch(r"h?(\d{1,3})[.-][A-Za-z0-9_-]{43}", text):
        with pytest.raises(InvalidSessionId):
            ref_of_either(text)

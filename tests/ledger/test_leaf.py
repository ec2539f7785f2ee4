"""The leaf's bytes are fixed for ever: old receipts must verify with new code."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from control_plane.ledger.leaf import (
    PayloadInvalid,
    canonical_payload,
    commit,
    format_time,
    new_salt,
)
from tests.ledger.forge import Entry

PAYLOADS = st.dictionaries(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text() | st.floats(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


def test_the_layout_of_a_leaf_has_not_changed() -> None:
    leaf = Entry(3).leaf()
    assert leaf.data() == (
        b'\x01{"action":"hosting.requested","actor":"psn_1","agency":"agy_1",'
        b'"at":"2026-11-24T04:00:00.000003Z","commitment":"' + leaf.commitment.encode() + b'",'
        b'"id":"ent_3","subject":"hst_1"}'
    )
    assert leaf.commitment == "85ac26f4d2672f9271194af4863a37f9e23f1cdb75f8f3618f3eae6442355311"
    assert leaf.hash().hex() == "e0069249968033fc39d78cf46cbcb6ebcbad61bd03800d49916aab5db5a1ee23"


@given(PAYLOADS)
def test_a_payload_that_is_taken_opens_its_commitment_and_no_other(
    payload: dict[str, object],
) -> None:
    try:
        text = canonical_payload(payload)
    except PayloadInvalid:
        return
    entry = Entry(1, payload=payload)
    assert entry.leaf().opens(payload, entry.salt.hex())
    assert not entry.leaf().opens({**payload, "more": 1}, entry.salt.hex())
    assert not entry.leaf().opens(payload, new_salt().hex())
    assert commit(text, entry.salt) != commit(text, new_salt())


def test_times_are_spelled_in_utc_to_the_microsecond() -> None:
    moment = datetime(2026, 11, 24, 7, 0, tzinfo=timezone(timedelta(hours=3)))
    assert format_time(moment) == "2026-11-24T04:00:00.000000Z"
    assert format_time(moment.astimezone(UTC)) == format_time(moment)

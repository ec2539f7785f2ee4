"""Of what a cloud publishes, nothing is taken but ids of ours; whatever else it says is ignored."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.kit.ids import new_id
from control_plane.ports.cloud.openstack.listener import EACH_AT_MOST_EVERY_S, Pace
from control_plane.ports.cloud.openstack.notices import MAX_BYTES, ids_of
from control_plane.ports.cloud.openstack.waits import Waits

SERVER, TENANT = new_id("hst"), new_id("ten")


def _message(event: str, payload: Any) -> bytes:
    told = json.dumps({"event_type": event, "payload": payload, "priority": "INFO"})
    return json.dumps({"oslo.version": "2.0", "oslo.message": told}).encode()


@pytest.mark.parametrize(
    ("event", "payload", "ids"),
    [
        ("compute.instance.create.end", {"display_name": SERVER}, {SERVER}),
        ("instance.delete.end", {"nova_object.data": {"display_name": SERVER}}, {SERVER}),
        ("port.delete.end", {"port_id": "1", "port": {"name": SERVER}}, {SERVER}),
        ("network.delete.end", {"network": {"name": f"edubba-{TENANT}"}}, {TENANT}),
        ("volume.attach.end", {"display_name": SERVER, "status": "in-use"}, {SERVER}),
        ("compute.instance.create.error", {"display_name": SERVER}, {SERVER}),
        ("compute.instance.create.start", {"display_name": SERVER}, set()),
        ("compute.instance.exists", {"display_name": SERVER}, set()),
        ("port.delete.end", {"port_id": "1"}, set()),
        ("port.update.end", {"port": {"name": "web-1"}}, set()),
        ("port.update.end", {"port": {"name": SERVER + "x"}}, set()),
        ("port.update.end", {"port": {"name": "dep" + SERVER[3:]}}, set()),
    ],
)
def test_what_is_over_names_whom_it_is_about(event: str, payload: Any, ids: set[str]) -> None:
    assert ids_of(_message(event, payload)) == ids


@pytest.mark.parametrize(
    ("before", "now", "ids"),
    [("building", "active", {SERVER}), ("active", "active", set()), (None, "active", set())],
)
def test_a_server_is_told_of_when_its_state_changes(
    before: str | None, now: str, ids: set[str]
) -> None:
    payload = {"display_name": SERVER, "old_state": before, "state": now}
    assert ids_of(_message("compute.instance.update", payload)) == ids


@given(st.binary(max_size=200) | st.from_regex(rb'\{"oslo.message": .*\}', fullmatch=True))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    try:
        assert ids_of(body) == frozenset()
    except ValueError:
        return


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_a_payload_of_any_form_is_read_or_refused(payload: object) -> None:
    for told in (payload, {"port": payload}, {"display_name": payload}):
        try:
            assert ids_of(_message("port.update.end", told)) == frozenset()
        except ValueError:
            continue


def test_what_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(ValueError, match="nested"):
        ids_of(b"[" * 100_000)


def test_what_is_too_large_is_not_read() -> None:
    body = _message("port.update.end", {"port": {"name": SERVER}, "more": "x" * MAX_BYTES})
    with pytest.raises(ValueError, match="bytes"):
        ids_of(body)


def test_one_thing_is_told_of_at_once_and_then_at_a_pace() -> None:
    pace = Pace()
    pace.add(frozenset({SERVER}))
    assert pace.take(100.0) == {SERVER}
    pace.add(frozenset({SERVER}))
    pace.add(frozenset({SERVER, TENANT}))
    assert pace.take(100.0 + EACH_AT_MOST_EVERY_S / 2) == {TENANT}
    assert pace.take(100.0 + EACH_AT_MOST_EVERY_S * 1.1) == {SERVER}
    assert pace.take(200.0) == frozenset()


def test_what_is_told_between_two_looks_ends_the_next_wait() -> None:
    waits = Waits()
    with waits.watching(SERVER) as told:
        waits.tell([SERVER, TENANT])
        assert told.wait(0)
    waits.tell([SERVER])  # nobody waits any more
    with waits.watching(SERVER) as again:
        assert not again.is_set()

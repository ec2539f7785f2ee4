"""Which machine serves while one succeeds another, and what of a successor still counts."""

from dataclasses import replace

import pytest

from control_plane.ports.cloud.openstack.machines import Machine, in_order
from control_plane.ports.cloud.openstack.succession import is_usable
from control_plane.ports.cloud.openstack.wishes import limits_told
from tests.locald.world import a_server

SPEC = a_server("ten_" + "0" * 26, "sha256:" + "1" * 64, 1)


def a_machine(suffix: str = "", status: str = "ACTIVE", **metadata: str) -> Machine:
    known = {"edubba_image": SPEC.image, "edubba_limits": limits_told(SPEC.limits)}
    document = {
        "id": f"{suffix}{status}",
        "name": SPEC.server_id + suffix,
        "status": status,
        "metadata": {**known, **metadata},
        "addresses": {},
        "created": "2026-11-30T00:00:00Z",
    }
    return Machine(SPEC.tenant_id, "project", document)


def test_the_first_serves_until_its_successor_is_to() -> None:
    first, second = a_machine(), a_machine(".next")
    assert in_order([second, first]) == [first, second]
    serving = a_machine(".next", edubba_serves="1")
    assert in_order([first, serving]) == [serving, first]


def test_one_that_succeeded_before_stands_behind_its_own_successor() -> None:
    older, serving = a_machine(edubba_serves="1"), a_machine(".next", edubba_serves="1")
    assert in_order([older, serving]) == [serving, older]


def test_one_that_was_given_up_stands_behind_its_double() -> None:
    lost, good = a_machine(status="ERROR"), a_machine()
    assert in_order([lost, good]) == [good, lost]


@pytest.mark.parametrize(
    ("status", "metadata", "counts"),
    [
        ("ACTIVE", {}, True),
        ("SHUTOFF", {"edubba_filling": "1", "edubba_filled": "1"}, True),
        ("ACTIVE", {"edubba_filling": "1", "edubba_filled": "1"}, False),  # it wrote since
        ("SHUTOFF", {"edubba_filling": "1"}, False),
    ],
)
def test_what_was_carried_counts_while_the_first_is_stopped(
    status: str, metadata: dict[str, str], *, counts: bool
) -> None:
    second = a_machine(".next", "ACTIVE", **metadata)
    assert is_usable(a_machine(status=status), second, SPEC) is counts


def test_a_successor_of_another_wish_or_that_is_lost_does_not_count() -> None:
    second, wish = a_machine(".next"), replace(SPEC, image="sha256:" + "2" * 64)
    assert not is_usable(a_machine(), second, wish)
    assert not is_usable(a_machine(), a_machine(".next", "ERROR"), SPEC)
    assert not is_usable(a_machine(".next", edubba_serves="1"), a_machine(), SPEC)

"""What every cloud keeps of wires: the one port of the one server is open to the other, no more."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from control_plane.kit.errors import Refused, Unavailable
from control_plane.kit.ids import new_id
from control_plane.ports.cloud.port import TenantSpec, WireFact
from tests.contracts.clouds import Stage

PORT, OTHER = 5432, 8099


def test_a_wire_is_made_once_and_adopted_ever_after(stage: Stage) -> None:
    wire = stage.a_wire(stage.a_server(), stage.a_server())
    assert stage.cloud.observe_wire(wire) == WireFact(wire.wire_id, None, is_whole=False)
    first = stage.ensure(wire)
    assert (first.is_whole, first.address is None) == (True, False)
    assert first == stage.ensure(wire)
    assert first == stage.cloud.observe_wire(wire)


def test_one_port_is_open_to_one_server_and_nothing_else_is(stage: Stage) -> None:
    asking, answering, third = (stage.a_server() for _ in range(3))
    address = stage.ensure(stage.a_wire(asking, answering)).address
    assert address is not None
    world = stage.world
    with world.listening(answering, PORT), world.listening(answering, OTHER):
        assert world.may_connect(asking, address, PORT)
        assert not world.may_connect(asking, address, OTHER)
        assert world.may_connect(asking, answering.address, PORT) == (address == answering.address)
        assert not world.may_connect(third, address, PORT)
    with world.listening(asking, PORT):
        assert not world.may_connect(answering, address - 1, PORT)
        assert not world.may_connect(answering, asking.address, PORT)


def test_several_applications_use_one_database_and_one_uses_several(stage: Stage) -> None:
    one, other, first, second = (stage.a_server() for _ in range(4))
    pairs = [(one, first), (other, first), (one, second)]
    addresses = [stage.ensure(stage.a_wire(*pair)).address for pair in pairs]
    assert addresses[0] != addresses[2]
    with stage.world.listening(first, PORT), stage.world.listening(second, PORT):
        for (asking, _), address in zip(pairs, addresses, strict=True):
            assert stage.world.may_connect(asking, address, PORT)
        if addresses[0] != addresses[1]:
            assert not stage.world.may_connect(other, addresses[0], PORT)
        assert not stage.world.may_connect(other, addresses[2], PORT)


def test_no_wire_leads_to_another_tenant_or_to_its_own_server(stage: Stage) -> None:
    own, foreign = stage.a_server(), replace(stage.a_spec(), tenant_id=new_id("ten"))
    stage.cloud.ensure_tenant(TenantSpec(foreign.tenant_id, new_id("agy")), stage.fence)
    stage.running(foreign)
    wire = stage.a_wire(own, foreign)
    wishes = [wire, replace(wire, tenant_id=foreign.tenant_id), stage.a_wire(own, own)]
    for wish in wishes:
        with pytest.raises(Refused) as refused:
            stage.ensure(wish)
        assert refused.value.code == "wire_refused"
        assert stage.cloud.observe_wire(wish).address is None
    stage.cloud.destroy_server(foreign.server_id, stage.fence)
    stage.cloud.destroy_tenant(foreign.tenant_id, stage.fence)


def test_a_wire_waits_until_both_its_servers_run(stage: Stage) -> None:
    running, stopped, absent = stage.a_server(), stage.a_server(), stage.a_spec()
    stage.cloud.stop_server(stopped.server_id, stage.fence)
    for pair in [(running, stopped), (stopped, running), (running, absent), (absent, running)]:
        wire = stage.a_wire(*pair)
        with pytest.raises(Unavailable) as unavailable:
            stage.ensure(wire)
        assert unavailable.value.code == "server_unreachable"
        assert stage.cloud.observe_wire(wire).address is None


@pytest.mark.parametrize("end", ["asking", "answering"])
def test_a_server_that_was_stopped_gets_its_wires_back_at_the_same_address(
    stage: Stage, end: str
) -> None:
    servers = {"asking": stage.a_server(), "answering": stage.a_server()}
    wire = stage.a_wire(servers["asking"], servers["answering"])
    before = stage.ensure(wire)
    broken = replace(before, is_whole=False)
    stage.cloud.stop_server(servers[end].server_id, stage.fence)
    assert stage.cloud.observe_wire(wire) == broken
    stage.running(servers[end])
    assert stage.cloud.observe_wire(wire) == broken
    with stage.world.listening(servers["answering"], PORT):
        assert not stage.world.may_connect(servers["asking"], before.address, PORT)
        assert stage.ensure(wire) == before
        assert stage.world.may_connect(servers["asking"], before.address, PORT)


@pytest.mark.parametrize("end", ["asking", "answering"])
def test_a_server_whose_process_died_gets_its_wires_back_at_the_same_address(
    stage: Stage, end: str
) -> None:
    servers = {"asking": stage.a_server(), "answering": stage.a_server()}
    wire = stage.a_wire(servers["asking"], servers["answering"])
    before = stage.ensure(wire)
    stage.world.lose_process(servers[end])
    assert stage.cloud.observe_wire(wire) == replace(before, is_whole=False)
    stage.running(servers[end])
    left = replace(before, is_whole=not stage.world.wires_are_links)
    assert stage.cloud.observe_wire(wire) == left
    assert stage.ensure(wire) == before
    with stage.world.listening(servers["answering"], PORT):
        assert stage.world.may_connect(servers["asking"], before.address, PORT)


@pytest.mark.parametrize("end", ["asking", "answering"])
def test_a_destroyed_server_takes_its_wires_along(stage: Stage, end: str) -> None:
    servers = {"asking": stage.a_server(), "answering": stage.a_server()}
    third = stage.a_server()
    wire = stage.a_wire(servers["asking"], servers["answering"])
    kept = stage.a_wire(third, servers["answering" if end == "asking" else "asking"])
    stage.ensure(wire)
    whole = stage.ensure(kept)
    stage.cloud.destroy_server(servers[end].server_id, stage.fence)
    assert stage.cloud.observe_wire(wire).address is None
    assert stage.cloud.observe_wire(kept) == whole


def test_a_removed_wire_opens_nothing_and_the_others_stay(stage: Stage) -> None:
    asking, answering, other = (stage.a_server() for _ in range(3))
    wire, kept = stage.a_wire(asking, answering), stage.a_wire(other, answering)
    address = stage.ensure(wire).address
    whole = stage.ensure(kept)
    for _ in range(2):
        stage.cloud.remove_wire(wire.wire_id, stage.fence)
        assert stage.cloud.observe_wire(wire) == WireFact(wire.wire_id, None, is_whole=False)
    assert stage.cloud.observe_wire(kept) == whole
    with stage.world.listening(answering, PORT):
        assert not stage.world.may_connect(asking, address, PORT)
        assert stage.world.may_connect(other, whole.address, PORT)
    again = stage.ensure(stage.a_wire(asking, other)).address
    assert again == (address if stage.world.wires_are_links else other.address)


def test_a_wire_may_change_its_port_but_not_where_it_leads(stage: Stage) -> None:
    asking, answering, third = (stage.a_server() for _ in range(3))
    wire = stage.a_wire(asking, answering)
    before = stage.ensure(wire)
    moved = replace(wire, port=OTHER)
    assert stage.cloud.observe_wire(moved) == replace(before, is_whole=False)
    assert stage.ensure(moved) == before
    with stage.world.listening(answering, PORT), stage.world.listening(answering, OTHER):
        assert stage.world.may_connect(asking, before.address, OTHER)
        assert not stage.world.may_connect(asking, before.address, PORT)
    for asks, answers in [(asking, third), (third, answering), (answering, asking)]:
        elsewhere = replace(moved, from_server=asks.server_id, to_server=answers.server_id)
        with pytest.raises(Refused) as refused:
            stage.ensure(elsewhere)
        assert refused.value.code == "wire_identity_changed"
    assert stage.cloud.observe_wire(moved) == before


def test_several_wires_are_made_at_once(stage: Stage) -> None:
    servers = [stage.a_server() for _ in range(3)]
    wires = [stage.a_wire(a, b) for a in servers for b in servers if a is not b]
    with ThreadPoolExecutor(4) as pool:
        facts = list(pool.map(stage.ensure, wires))
    several = wires if stage.world.wires_are_links else servers
    assert len({fact.address for fact in facts}) == len(several)
    assert [stage.cloud.observe_wire(wire).is_whole for wire in wires] == [True] * len(wires)


def test_a_wire_of_its_own_is_no_hole_in_a_servers_isolation(stage: Stage) -> None:
    asking, answering = stage.a_server(), stage.a_server()
    stage.ensure(stage.a_wire(asking, answering))
    for spec in (asking, answering):
        report = stage.cloud.probe_isolation(spec.server_id, [])
        assert report.is_isolated, report

"""What is looked at inside a server, in every adapter: its configuration, its services' words."""

from dataclasses import replace
from datetime import timedelta

import pytest

from control_plane.kit import clock
from control_plane.kit.errors import Unavailable
from control_plane.ports.cloud.port import (
    LOG_BYTES_MAX,
    LOG_LINE_MAX,
    Limits,
    LogFact,
    ServerSpec,
)
from tests.contracts.clouds import Stage
from tests.locald.world import newest_image


def test_what_is_changed_inside_a_server_is_seen_and_nothing_else(stage: Stage) -> None:
    image = newest_image(stage.cloud, stage.world.a_changeable_family())
    limits = Limits(memory_mib=256, cpu_millis=1000, pids=96, disk_mib=256)
    spec, other = (replace(stage.a_spec(), image=image, limits=limits) for _ in range(2))
    for one in (spec, other):
        stage.running(one)
    before = stage.cloud.inspect_server(spec.server_id)
    stage.a_release(index__html=b"x").put(stage.cloud, spec.server_id, stage.fence)
    assert stage.cloud.inspect_server(spec.server_id).digest == before.digest
    stage.world.change_inside(spec)
    assert stage.cloud.inspect_server(spec.server_id).digest != before.digest
    assert stage.cloud.inspect_server(other.server_id).digest == before.digest


def test_the_inside_of_a_server_that_does_not_run_is_not_to_be_seen(stage: Stage) -> None:
    spec = stage.a_server()
    stage.cloud.stop_server(spec.server_id, stage.fence)
    with pytest.raises(Unavailable) as unavailable:
        stage.cloud.inspect_server(spec.server_id)
    assert unavailable.value.code == "server_unreachable"


def a_server_with_services(stage: Stage) -> ServerSpec:
    image = newest_image(stage.cloud, stage.world.a_changeable_family())
    limits = Limits(memory_mib=256, cpu_millis=1000, pids=96, disk_mib=256)
    spec = replace(stage.a_spec(), image=image, limits=limits)
    stage.running(spec)
    return spec


def test_what_services_write_is_read_once_in_its_order(stage: Stage) -> None:
    spec = a_server_with_services(stage)
    stage.world.say(spec, "left", "مرحبا \x1b[31mred")
    stage.world.say(spec, "right", "second")
    first = stage.cloud.read_logs(spec.server_id, {})
    said = [(line.service, line.text) for line in first.lines]
    assert said == [("left", "مرحبا \x1b[31mred"), ("right", "second")]
    for line in first.lines:
        assert line.at is not None
        assert abs(clock.now() - line.at) < timedelta(minutes=5)
    assert stage.cloud.read_logs(spec.server_id, first.marks).lines == []
    stage.world.say(spec, "left", "third")
    assert [x.text for x in stage.cloud.read_logs(spec.server_id, first.marks).lines] == ["third"]


def test_of_much_that_is_written_the_newest_is_read_and_the_rest_counted(stage: Stage) -> None:
    spec = a_server_with_services(stage)
    stage.world.say(spec, "left", "loud", times=100_000)
    stage.world.say(spec, "right", "quiet")
    stage.world.say(spec, "left", "x" * 5000)
    found = stage.cloud.read_logs(spec.server_id, {})
    assert sum(len(line.text.encode()) for line in found.lines) <= LOG_BYTES_MAX
    assert [line.text for line in found.lines if line.service == "right"] == ["quiet"]
    left = [line for line in found.lines if line.service == "left"]
    assert (len(left[-1].text), left[-1].is_cut) == (LOG_LINE_MAX, True)
    assert {(line.text, line.is_cut) for line in left[:-1]} == {("loud", False)}
    assert found.lost.keys() == {"left"}
    assert found.lost["left"] > 1_000_000


def test_logs_of_a_server_that_does_not_run_are_not_to_be_read(stage: Stage) -> None:
    spec = stage.a_server()
    assert stage.cloud.read_logs(spec.server_id, {}) == LogFact([], {}, {})
    stage.cloud.stop_server(spec.server_id, stage.fence)
    with pytest.raises(Unavailable) as unavailable:
        stage.cloud.read_logs(spec.server_id, {})
    assert unavailable.value.code == "server_unreachable"

"""The daemon killed at any moment, the machine rebooted, parts broken by hand: all converges."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from control_plane.kit.errors import Refused
from control_plane.locald.disks import list_loops
from control_plane.locald.mounts import mount_points
from control_plane.locald.names import link_name
from control_plane.locald.namespaces import run_inside
from control_plane.ports.cloud.port import Fence, ServerSpec, ServerState
from tests.locald.world import LocaldWorld, Release, has_ended
from tests.waiting import wait_until

pytestmark = pytest.mark.root


def parts_of(world: LocaldWorld, spec: ServerSpec) -> dict[str, int]:
    """Count what a server is made of: each part once, or not at all."""
    links = world.run_at_edge("ip", "-o", "link").splitlines()
    groups = [p for p in Path("/sys/fs/cgroup").glob(f"*/{world.instance}/*") if p.is_dir()]
    return {
        "mounts": len(mount_points(world.names.runtime_dir(spec.server_id))),
        "loops": len(list_loops(world.names.state_dir)),
        "links": sum(f" {link_name(spec.serial)}@" in line for line in links),
        "containers": len(list(world.names.runc_root.glob("*"))),
        "groups": len({p.name for p in groups}),
    }


WHOLE = {"mounts": 3, "loops": 1, "links": 1, "containers": 1, "groups": 1}
NOTHING = dict.fromkeys(WHOLE, 0)
# From before the first effect to after the last one: making a server takes some 250 ms here.
MOMENTS_MS = [0, 5, 10, 20, 30, 45, 60, 80, 100, 120, 140, 160, 180, 200, 220, 250, 300]


@pytest.mark.parametrize("moment", MOMENTS_MS)
def test_a_daemon_killed_while_making_or_destroying_converges(
    world: LocaldWorld, moment: int
) -> None:
    spec = world.a_spec()
    world.kill_during(lambda: world.cloud.ensure_server(spec, world.fence), moment)
    assert world.cloud.ensure_server(spec, world.fence).state is ServerState.RUNNING
    assert parts_of(world, spec) == WHOLE
    world.kill_during(lambda: world.cloud.destroy_server(spec.server_id, world.fence), moment // 3)
    world.cloud.destroy_server(spec.server_id, world.fence)
    assert world.cloud.observe_server(spec.server_id).state is ServerState.ABSENT
    wait_until(lambda: parts_of(world, spec) == NOTHING)


def test_servers_go_on_while_the_daemon_is_away_and_are_adopted(
    world: LocaldWorld, tmp_path: Path
) -> None:
    spec = world.a_running_server()
    Release(tmp_path, {"index.html": b"up"}).deploy(world.cloud, spec.server_id, world.fence)
    before = world.pid_of(spec)
    world.kill()
    assert world.get(spec.address, "/")[2] == b"up"
    world.begin()
    world.wait()
    assert world.cloud.ensure_server(spec, world.fence).state is ServerState.RUNNING
    assert world.pid_of(spec) == before
    world.cloud.destroy_server(spec.server_id, world.fence)


def test_after_a_reboot_a_server_is_back_with_its_data_and_its_fence(
    world: LocaldWorld, tmp_path: Path
) -> None:
    spec = world.a_running_server()
    Release(tmp_path, {"index.html": b"kept"}).deploy(world.cloud, spec.server_id, world.fence)
    newer = Fence(world.fence.life_id, 5)
    world.cloud.ensure_server(spec, newer)
    world.reboot()
    assert world.cloud.observe_server(spec.server_id).state is ServerState.STOPPED
    with pytest.raises(Refused, match="stale_fence"):
        world.cloud.ensure_server(spec, world.fence)
    world.fence = newer
    assert world.cloud.ensure_server(spec, newer).state is ServerState.RUNNING
    assert world.get(spec.address, "/")[2] == b"kept"
    world.cloud.destroy_server(spec.server_id, newer)


def test_a_release_cut_off_by_a_killed_daemon_is_sent_again(
    world: LocaldWorld, tmp_path: Path
) -> None:
    spec = world.a_running_server()
    old = Release(tmp_path, {"index.html": b"old"})
    old.deploy(world.cloud, spec.server_id, world.fence)
    contents = {f"{number}.txt": os.urandom(200_000) for number in range(100)}
    new = Release(tmp_path, {"index.html": b"new", **contents})
    for moment in (50, 150, 300):
        world.kill_during(lambda: new.deploy(world.cloud, spec.server_id, world.fence), moment)
        assert world.get(spec.address, "/")[2] in {b"old", b"new"}
    new.deploy(world.cloud, spec.server_id, world.fence)
    assert world.get(spec.address, "/99.txt")[2] == contents["99.txt"]
    world.cloud.destroy_server(spec.server_id, world.fence)


def delete_container(world: LocaldWorld, spec: ServerSpec) -> None:
    argv = ["runc", "--root", str(world.names.runc_root), "delete", "--force", spec.server_id]
    subprocess.run(argv, check=True)


def flush_rules(world: LocaldWorld, _: ServerSpec) -> None:
    world.run_at_edge("nft", "flush", "ruleset")


def open_a_rule(world: LocaldWorld, _: ServerSpec) -> None:
    world.run_at_edge("nft", "insert", "rule", "inet", world.instance, "input", "accept")


def forward(world: LocaldWorld, _: ServerSpec) -> None:
    world.run_at_edge("sysctl", "-qw", "net.ipv4.ip_forward=1")


def remove_link(world: LocaldWorld, spec: ServerSpec) -> None:
    world.run_at_edge("ip", "link", "delete", link_name(spec.serial))


def add_route(world: LocaldWorld, spec: ServerSpec) -> None:
    gateway = str(spec.address - 1)
    inside = Path(f"/proc/{world.pid_of(spec)}/ns/net")
    argv = ["ip", "route", "add", "default", "via", gateway]
    run_inside(inside, lambda: subprocess.run(argv, check=True))


def lift_limits(world: LocaldWorld, spec: ServerSpec) -> None:
    argv = ["runc", "--root", str(world.names.runc_root), "update", "--pids-limit", "5000"]
    subprocess.run([*argv, "--cpu-quota", "-1", spec.server_id], check=True)


def lose_edge(world: LocaldWorld, _: ServerSpec) -> None:
    subprocess.run(["ip", "netns", "delete", world.names.edge_namespace], check=True)


def kill_nginx(world: LocaldWorld, spec: ServerSpec) -> None:
    world.kill_process(spec)


DRIFTS: dict[str, tuple[Callable[[LocaldWorld, ServerSpec], None], str]] = {
    "container deleted": (delete_container, "container_missing"),
    "nginx killed": (kill_nginx, "container_stopped"),
    "rules flushed": (flush_rules, "rules"),
    "a rule added": (open_a_rule, "rules"),
    "forwarding on": (forward, "edge_forwards"),
    "link removed": (remove_link, "link"),
    "route added": (add_route, "route"),
    "limits lifted": (lift_limits, "limit_"),
    "edge lost": (lose_edge, "edge_missing"),
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_drift_is_seen_and_mended(world: LocaldWorld, tmp_path: Path, drift: str) -> None:
    breaks, reason = DRIFTS[drift]
    spec = world.a_running_server()
    Release(tmp_path, {"index.html": b"kept"}).deploy(world.cloud, spec.server_id, world.fence)
    breaks(world, spec)
    found = world.cloud.observe_server(spec.server_id)
    assert found.state in {ServerState.DEGRADED, ServerState.STOPPED}
    assert any(seen.startswith(reason) for seen in found.reasons), found
    mended = world.cloud.ensure_server(spec, world.fence)
    assert (mended.state, mended.reasons) == (ServerState.RUNNING, ())
    assert world.get(spec.address, "/")[2] == b"kept"
    world.cloud.destroy_server(spec.server_id, world.fence)


def test_changed_limits_are_set_while_the_server_runs(world: LocaldWorld) -> None:
    spec = world.a_running_server()
    before = world.pid_of(spec)
    larger = replace(spec, limits=replace(spec.limits, memory_mib=256, cpu_millis=900, pids=99))
    assert world.cloud.ensure_server(larger, world.fence).state is ServerState.RUNNING
    assert world.pid_of(spec) == before
    world.cloud.destroy_server(spec.server_id, world.fence)


def test_the_daemon_leaves_no_zombies(world: LocaldWorld) -> None:
    spec = world.a_running_server()
    world.kill_process(spec)
    assert world.process
    daemon = world.process.pid

    def zombies() -> list[int]:
        children = Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()
        return [int(pid) for pid in children if has_ended(int(pid))]

    wait_until(lambda: not zombies())
    world.cloud.destroy_server(spec.server_id, world.fence)


def test_cleaning_leaves_nothing_behind_and_may_be_repeated(tmp_path: Path) -> None:
    other = LocaldWorld()
    try:
        other.start()
        spec, _ = other.a_running_server(), other.a_running_server()
        Release(tmp_path, {"index.html": b"x"}).deploy(other.cloud, spec.server_id, other.fence)
        assert len(other.traces()) > 5
    finally:
        other.remove()
    wait_until(lambda: not other.traces())
    assert not other.names.run_dir.exists()
    assert not other.names.state_dir.exists()
    other.clean("--data")

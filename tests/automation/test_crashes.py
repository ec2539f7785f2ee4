"""Whatever is killed, nothing of a run goes on that is said to be over, here or in its server."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from control_plane.kit.errors import Unavailable
from control_plane.kit.ids import new_id
from control_plane.ports.automation.port import RunSpec, RunState
from control_plane.ports.automation.processes import (
    Process,
    find_process,
    list_descendants,
)
from tests.automation.world import RunnerWorld, until_over
from tests.waiting import wait_until

pytestmark = pytest.mark.root


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def ours(world: RunnerWorld) -> list[Process]:
    """Return the warm process and all its forks, as the machine sees them."""
    mark = f"zygote {world.folder}"
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    found = [find_process(pid) for pid in pids if mark in command_of(pid)]
    return [process for process in found if process and process.is_alive]


def sleepers(world: RunnerWorld) -> int:
    """Count what runs inside servers of this instance for the play that never ends."""
    count = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            is_one = path.read_bytes() == b"sleep\x00974\x00"
            count += is_one and f"/{world.locald.instance}/" in (path.parent / "cgroup").read_text()
        except OSError:
            continue
    return count


def a_sleeping_run(world: RunnerWorld, server: str) -> tuple[RunSpec, Process]:
    spec = world.a_spec("hosting_sleeps", server)
    world.automation.start(spec, world.fence)
    wait_until(lambda: sleepers(world) == 1)
    pid = world.automation.observe(spec.run_id).pid
    assert pid
    leader = find_process(pid)
    assert leader
    return spec, leader


def test_a_cancelled_run_is_dead_here_and_in_its_server(world: RunnerWorld, server: str) -> None:
    spec, leader = a_sleeping_run(world, server)
    below = list_descendants(leader.pid)
    assert len(below) >= 2  # Ansible, and the process of its task
    assert len({os.getsid(process.pid) for process in below}) >= 2  # a group alone is not all
    world.automation.cancel(spec.run_id, world.fence)
    assert [p for p in (leader, *below) if p.is_alive] == []
    world.locald.cloud.close_run(spec.run_id, world.fence)
    assert sleepers(world) == 0


def test_a_run_whose_time_is_up_is_dead_too(world: RunnerWorld, server: str) -> None:
    spec = world.a_spec("hosting_sleeps", server, timeout=timedelta(seconds=4))
    world.automation.start(spec, world.fence)
    wait_until(lambda: sleepers(world) == 1)
    leader = find_process(world.automation.observe(spec.run_id).pid or 0)
    assert leader
    assert until_over(world.automation, spec.run_id).reason == "timed_out"
    assert not leader.is_alive
    wait_until(lambda: sleepers(world) == 0)


def test_a_killed_runner_takes_its_runs_along_and_its_successor_says_so(
    world: RunnerWorld, server: str
) -> None:
    spec, leader = a_sleeping_run(world, server)
    before = ours(world)
    assert leader in before
    world.kill()
    with pytest.raises(Unavailable) as unavailable:
        world.automation.observe(spec.run_id)
    assert unavailable.value.code == "runner_not_answering"
    world.start()
    fact = world.automation.observe(spec.run_id)
    assert (fact.state, fact.reason) == (RunState.LOST, "runner_restarted")
    kept = [path.name for path in (world.folder / "runs" / spec.run_id).iterdir()]
    assert kept == ["run.json"]  # nothing that a module put aside on its way
    assert [process for process in before if process.is_alive] == []
    wait_until(lambda: sleepers(world) == 0)
    world.automation.start(spec, world.fence)
    assert world.automation.observe(spec.run_id).state is RunState.LOST
    assert world.run("hosting_nothing", server).state is RunState.SUCCEEDED


def test_a_successor_kills_even_what_stands_still(world: RunnerWorld, server: str) -> None:
    _, leader = a_sleeping_run(world, server)
    before = ours(world)
    for process in before:
        os.kill(process.pid, signal.SIGSTOP)  # so that nobody notices that the runner is gone
    world.kill()
    assert [process for process in before if process.is_alive] == before
    world.start()
    assert [process for process in before if process.is_alive] == []
    assert not leader.is_alive


def test_a_successor_finds_what_is_on_no_record(world: RunnerWorld, server: str) -> None:
    spec, _ = a_sleeping_run(world, server)
    before = ours(world)
    for process in before:
        os.kill(process.pid, signal.SIGSTOP)
    world.kill()
    (world.folder / "runs" / spec.run_id / "leader.json").unlink()
    world.start()
    assert [process for process in before if process.is_alive] == []


def the_warm_process(world: RunnerWorld, _: Process) -> Process:
    assert world.process
    children = [p for p in ours(world) if parent_of(p.pid) == world.process.pid]
    return children[0]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def the_leader(_: RunnerWorld, leader: Process) -> Process:
    return leader


def the_playbook(_: RunnerWorld, leader: Process) -> Process:
    return next(p for p in list_descendants(leader.pid) if parent_of(p.pid) == leader.pid)


def the_task(world: RunnerWorld, leader: Process) -> Process:
    playbook = the_playbook(world, leader)
    return list_descendants(playbook.pid)[0]


def the_launcher(world: RunnerWorld, _: Process) -> Process:
    assert world.process
    found = list_descendants(world.process.pid)
    return next(p for p in found if "launcher.py" in command_of(p.pid))


@pytest.mark.parametrize(
    "victim", [the_warm_process, the_leader, the_playbook, the_task, the_launcher]
)
def test_a_run_that_lost_a_process_fails_whole_and_the_next_one_works(
    world: RunnerWorld, server: str, victim: Callable[[RunnerWorld, Process], Process]
) -> None:
    spec, leader = a_sleeping_run(world, server)
    below = list_descendants(leader.pid)
    os.kill(victim(world, leader).pid, signal.SIGKILL)
    fact = until_over(world.automation, spec.run_id)
    assert fact.state is RunState.FAILED
    assert fact.reason in {"runner_failed", "task_failed", "unreachable", "playbook_broken"}
    wait_until(lambda: not [p for p in (leader, *below) if p.is_alive])
    wait_until(lambda: sleepers(world) == 0)
    assert world.run("hosting_nothing", server).state is RunState.SUCCEEDED


def test_a_runner_that_is_told_to_stop_leaves_nothing_behind(
    world: RunnerWorld, server: str
) -> None:
    spec, _ = a_sleeping_run(world, server)
    others = [world.a_spec("hosting_sleeps", server) for _ in range(world.at_once)]
    for other in others:  # the last one waits
        world.automation.start(other, world.fence)
    world.stop()
    assert ours(world) == []
    wait_until(lambda: sleepers(world) == 0)
    world.start()
    for run_id in (spec.run_id, *(other.run_id for other in others)):
        assert world.automation.observe(run_id).state in {RunState.LOST, RunState.CANCELLED}


def test_a_second_runner_of_the_same_folder_does_not_start(world: RunnerWorld) -> None:
    second = RunnerWorld(world.locald)
    second.begin()
    assert second.process
    try:
        assert second.process.wait(30) == 1
    finally:
        second.kill()
    assert "another runner has" in world.log.read_text()
    assert world.automation.observe(new_id("run")).state is RunState.ABSENT


def test_a_daemon_that_restarts_fails_the_run_and_not_the_runner(
    world: RunnerWorld, server: str
) -> None:
    spec, _ = a_sleeping_run(world, server)
    world.locald.restart()
    fact = until_over(world.automation, spec.run_id)
    assert (fact.state, fact.reason) == (RunState.FAILED, "unreachable")
    assert sleepers(world) == 0
    assert world.run("hosting_nothing", server).state is RunState.SUCCEEDED


def ask_as(world: RunnerWorld, uid: int, line: str) -> str:
    program = (
        "import contextlib,socket,sys\n"
        "s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        "with contextlib.suppress(BrokenPipeError): s.sendall(sys.argv[2].encode()+b'\\n')\n"
        "print(s.makefile('rb').readline().decode())"
    )
    argv = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups"]
    argv += ["/usr/bin/python3", "-IS", "-c", program, str(world.folder / "runner.sock"), line]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return str(json.loads(done.stdout)["code"])


def test_nobody_but_the_worker_is_heard(world: RunnerWorld) -> None:
    world.folder.chmod(0o755)  # the second wall is tried alone
    (world.folder / "runner.sock").chmod(0o666)
    assert ask_as(world, 65534, '{"verb": "observe"}') == "not_allowed"


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[]",
        b"{}",
        b'{"verb": "exec"}',
        b'{"verb": "start"}',
        b'{"verb": "start", "spec": {}, "fence": {"life_id": "lif_x", "counter": 1}}',
        b'{"verb": "start", "spec": {"run_id": 5}, "fence": []}',
        b'{"verb": "observe", "run_id": {}}',
        b'{"verb": "cancel", "run_id": "run_x", "fence": {"life_id": "../x", "counter": 1}}',
        b'{"verb": "forget", "run_id": "../../x", "fence": {"life_id": "lif_x", "counter": "y"}}',
        b"[" * 100_000,
        b"x" * (1 << 21),
    ],
)
def test_what_is_no_request_is_refused_and_the_runner_lives_on(
    world: RunnerWorld, line: bytes
) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(world.folder / "runner.sock"))
        with suppress(BrokenPipeError):
            connection.sendall(line + b"\n")
        answer = json.loads(connection.makefile("rb").readline())
    assert (answer["ok"], answer["final"]) == (False, True)
    assert answer["code"] in {"bad_request", "run_malformed"}
    assert world.automation.observe(new_id("run")).state is RunState.ABSENT

"""What a run may do inside a server, and that the runner can do nothing else."""

import json
import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from control_plane.kit.errors import Refused
from control_plane.kit.ids import new_id
from control_plane.ports.cloud.port import Access, Fence, ServerSpec, ServerState
from tests.locald.world import PYTHON, LocaldWorld
from tests.waiting import wait_until

pytestmark = pytest.mark.root

HOUR = timedelta(hours=1)


@dataclass
class Done:
    """How a command ended."""

    answer: dict[str, Any]
    out: bytes

    @property
    def refusal(self) -> str:
        assert not self.answer["ok"]
        return str(self.answer["code"])

    @property
    def code(self) -> int:
        return int(self.answer["result"]["code"])


def connect(world: LocaldWorld) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(30)
    connection.connect(str(world.names.runs_socket))
    return connection


def send(connection: socket.socket, wish: dict[str, Any], text: bytes = b"") -> int:
    """Ask with two pipes; return the reading end of the command's output."""
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    socket.send_fds(connection, [json.dumps(wish).encode() + b"\n"], [in_read, out_write])
    os.close(in_read)
    os.close(out_write)
    with os.fdopen(in_write, "wb") as stdin:
        stdin.write(text)
    return out_read


def a_wish(run_id: str, access: Access, text: str) -> dict[str, Any]:
    return {
        "verb": "exec_run",
        "run_id": run_id,
        "server_id": access.server_id,
        "ticket": access.secrets["edubba_local_ticket"],
        "command": text,
        "timeout_s": 20,
    }


def command(world: LocaldWorld, wish: dict[str, Any], text: bytes = b"") -> Done:
    with connect(world) as connection:
        with os.fdopen(send(connection, wish, text), "rb") as output:
            out = output.read()
        return Done(json.loads(connection.makefile("rb").readline()), out)


@dataclass
class Run:
    """A run that was opened on one server."""

    world: LocaldWorld
    spec: ServerSpec
    run_id: str
    access: Access
    fence: Fence

    def command(self, text: str, stdin: bytes = b"", **change: Any) -> Done:
        wish = a_wish(self.run_id, self.access, text) | change
        return command(self.world, wish, stdin)


@pytest.fixture
def run(world: LocaldWorld) -> Run:
    spec, run_id, fence = world.a_running_server(), new_id("run"), Fence(new_id("lif"), 5)
    access = world.cloud.open_run(spec.server_id, run_id, HOUR, fence)
    return Run(world, spec, run_id, access, fence)


def test_a_run_commands_its_server_as_root_inside_and_nobody_outside(run: Run) -> None:
    done = run.command("id -u; cat; echo no >&2; exit 7", b"\x00\xff\xfe")
    assert (done.code, done.out) == (7, b"0\n\x00\xff\xfe")
    assert done.answer["result"]["err"] == "no\n"
    assert run.command("cat /proc/self/uid_map").out.split()[1] == str(run.spec.uid_base).encode()


def test_opening_again_gives_the_same_ticket(run: Run) -> None:
    cloud, newer = run.world.cloud, replace(run.fence, counter=6)
    assert cloud.open_run(run.spec.server_id, run.run_id, HOUR, newer) == run.access


def test_a_closed_run_can_do_nothing_more(run: Run) -> None:
    run.world.cloud.close_run(run.run_id, run.fence)
    run.world.cloud.close_run(run.run_id, run.fence)
    assert run.command("true").refusal == "run_not_open"


def test_a_run_ends_when_its_time_is_over(run: Run) -> None:
    run.world.cloud.open_run(run.spec.server_id, run.run_id, timedelta(seconds=1), run.fence)
    done = run.command("sleep 60")
    assert done.answer["result"]["timed_out"]
    assert run.command("true").refusal == "run_not_open"


def test_a_run_whose_life_was_claimed_again_is_shut_out_until_it_is_opened_anew(run: Run) -> None:
    newer = replace(run.fence, counter=run.fence.counter + 1)
    run.world.cloud.ensure_server(run.spec, newer)
    assert run.command("true").refusal == "stale_fence"
    with pytest.raises(Refused) as refused:
        run.world.cloud.open_run(run.spec.server_id, run.run_id, HOUR, run.fence)
    assert refused.value.code == "stale_fence"
    run.world.cloud.open_run(run.spec.server_id, run.run_id, HOUR, newer)
    assert run.command("true").code == 0


def test_a_ticket_opens_no_other_server_and_speaks_for_no_other_run(run: Run) -> None:
    other, other_run = run.world.a_running_server(run.spec.tenant_id), new_id("run")
    run.world.cloud.open_run(other.server_id, other_run, HOUR, run.fence)
    changes: list[dict[str, Any]] = [
        {"server_id": other.server_id},
        {"server_id": other.server_id, "run_id": other_run},
        {"run_id": other_run},
        {"run_id": new_id("run")},
        {"ticket": "0" * 64},
        {"ticket": ""},
        {"ticket": "é"},
    ]
    for change in changes:
        assert run.command("true", **change).refusal == "run_not_open", change


def test_a_run_does_not_pass_to_another_life(run: Run) -> None:
    with pytest.raises(Refused) as refused:
        run.world.cloud.open_run(run.spec.server_id, run.run_id, HOUR, Fence(new_id("lif"), 9))
    assert refused.value.code == "run_of_another_life"


def test_tickets_end_with_the_daemon(run: Run) -> None:
    run.world.restart()
    assert run.command("true").refusal == "run_not_open"
    access = run.world.cloud.open_run(run.spec.server_id, run.run_id, HOUR, run.fence)
    assert access.secrets != run.access.secrets


@pytest.mark.parametrize(
    "change",
    [
        {"verb": "exec"},
        {"verb": "open_run"},
        {"verb": "ensure_server"},
        {"verb": "list_objects"},
        {"verb": "ping"},
        {"verb": None},
    ],
)
def test_on_the_runners_socket_there_is_no_other_verb(run: Run, change: dict[str, Any]) -> None:
    assert run.command("true", **change).refusal == "not_allowed"


def test_the_runner_may_not_speak_on_the_workers_socket(run: Run) -> None:
    run.world.names.socket.chmod(0o666)  # the second wall is tried alone
    program = (
        "import contextlib,socket,sys\n"
        "s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        'with contextlib.suppress(BrokenPipeError): s.sendall(b\'{"verb": "ping"}\\n\')\n'
        "print(s.makefile('rb').readline().decode())"
    )
    said = {}
    for uid in (run.world.runner_id, 65534):
        argv = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", *PYTHON]
        for name in ("socket", "runs_socket"):
            path = str(getattr(run.world.names, name))
            if (uid, name) == (65534, "runs_socket"):
                run.world.names.runs_socket.chmod(0o666)
            done = subprocess.run(
                [*argv, "-c", program, path], check=True, capture_output=True, text=True
            )
            said[uid == run.world.runner_id, name] = json.loads(done.stdout)["facts"]
    assert said == {
        (True, "socket"): {"uid": run.world.runner_id},
        (True, "runs_socket"): {"verb": "ping"},
        (False, "socket"): {"uid": 65534},
        (False, "runs_socket"): {"uid": 65534},
    }


def sleepers(world: LocaldWorld, seconds: int) -> list[str]:
    """Return the processes inside servers that sleep for so long."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            is_one = path.read_bytes() == f"sleep\0{seconds}\0".encode()
            group = path.with_name("cgroup").read_text()
        except OSError:
            continue
        if is_one and f"/{world.instance}/" in group:
            found.append(path.parts[2])
    return found


def test_what_a_run_started_is_dead_when_closing_it_returns(run: Run) -> None:
    with connect(run.world) as connection:
        output = send(connection, a_wish(run.run_id, run.access, "sleep 971 & sleep 971"))
        wait_until(lambda: len(sleepers(run.world, 971)) == 2)
        run.world.cloud.close_run(run.run_id, run.fence)
        assert sleepers(run.world, 971) == []
        os.close(output)


def test_a_command_ends_with_the_one_who_gave_it(run: Run) -> None:
    connection = connect(run.world)
    output = send(connection, a_wish(run.run_id, run.access, "sleep 972 & sleep 972"))
    wait_until(lambda: len(sleepers(run.world, 972)) == 2)
    connection.close()
    os.close(output)
    wait_until(lambda: not sleepers(run.world, 972))


def test_a_daemon_process_that_a_run_started_on_purpose_goes_on(run: Run) -> None:
    assert run.command("setsid sleep 973 >/dev/null 2>&1 </dev/null &").code == 0
    run.world.cloud.close_run(run.run_id, run.fence)
    assert len(sleepers(run.world, 973)) == 1


def test_commands_of_several_runs_are_carried_out_at_once(run: Run) -> None:
    with ThreadPoolExecutor(12) as pool:
        done = list(pool.map(lambda number: run.command(f"exit {number}"), range(12)))
    assert [one.code for one in done] == list(range(12))


@pytest.mark.parametrize(
    "change",
    [
        {"command": "x" * 40_000},
        {"command": 5},
        {"timeout_s": 0},
        {"timeout_s": 1e9},
        {"server_id": "../x"},
        {"uid": 0},
    ],
)
def test_a_malformed_command_is_refused(run: Run, change: dict[str, Any]) -> None:
    assert run.command("true", **change).refusal == "bad_request"


def test_endless_output_stops_when_nobody_reads_it(run: Run) -> None:
    with connect(run.world) as connection:
        output = send(connection, a_wish(run.run_id, run.access, "cat /dev/zero"))
        assert os.read(output, 1 << 16)
        os.close(output)
        result = json.loads(connection.makefile("rb").readline())["result"]
    assert result["code"] != 0
    assert not result["timed_out"]


def quota_of(run: Run) -> int:
    """Return thousandths of a processor that the run's server may use, as the kernel has it."""
    group = run.world.names.cgroup(run.spec.server_id).lstrip("/")
    first, second = Path("/sys/fs/cgroup") / group / "cpu.max", Path("/sys/fs/cgroup/cpu") / group
    if first.is_file():
        return int(first.read_text().split()[0]) // 100
    return int((second / "cpu.cfs_quota_us").read_text()) // 100


def test_a_server_may_use_a_whole_processor_while_a_run_commands_it(run: Run) -> None:
    cloud = run.world.cloud
    assert (run.spec.limits.cpu_millis, quota_of(run)) == (500, 1000)
    assert cloud.observe_server(run.spec.server_id).state is ServerState.RUNNING
    cloud.ensure_server(run.spec, run.fence)
    assert quota_of(run) == 1000
    cloud.close_run(run.run_id, run.fence)
    assert quota_of(run) == 500
    assert cloud.observe_server(run.spec.server_id).state is ServerState.RUNNING


def test_the_processor_of_a_run_that_nobody_closed_is_taken_back(run: Run) -> None:
    run.world.restart()
    assert run.world.cloud.observe_server(run.spec.server_id).reasons == ("limit_cpu",)
    run.world.cloud.ensure_server(run.spec, run.fence)
    assert quota_of(run) == 500

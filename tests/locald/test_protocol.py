"""The daemon's socket: who may ask, what is understood, and what is refused in every field."""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from control_plane.kit.ids import new_id
from control_plane.ports.cloud.port import Fence
from tests.locald.world import LOCALD, PYTHON, LocaldWorld
from tests.stories.traces import list_commands

pytestmark = pytest.mark.root


def ask_raw(world: LocaldWorld, line: bytes, handles: tuple[int, ...] = ()) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(world.names.socket))
        socket.send_fds(connection, [line], list(handles))
        answer: dict[str, Any] = json.loads(connection.makefile("rb").readline())
        return answer


def ask(world: LocaldWorld, verb: str, **fields: Any) -> dict[str, Any]:
    return ask_raw(world, json.dumps({"verb": verb, **fields}).encode() + b"\n")


def a_wish(world: LocaldWorld) -> dict[str, Any]:
    spec = world.a_spec()
    limits = {"memory_mib": 128, "cpu_millis": 500, "pids": 64, "disk_mib": 64}
    return {
        "server_id": spec.server_id,
        "tenant_id": spec.tenant_id,
        "image": spec.image,
        "limits": limits,
        "serial": spec.serial,
        "uid_base": spec.uid_base,
        "address": str(spec.address),
        "epoch": 1,
    }


def fence_of(world: LocaldWorld, counter: int = 1) -> dict[str, Any]:
    return {"life_id": world.fence.life_id, "counter": counter}


WRONG: list[tuple[str, Any]] = [
    ("server_id", "hst_../../etc"),
    ("server_id", "x" * 30),
    ("server_id", None),
    ("tenant_id", "hst_" + "0" * 26),
    ("image", "sha256:" + "0" * 63),
    ("image", "../../etc"),
    ("serial", 0),
    ("serial", True),
    ("serial", "1"),
    ("serial", 1 << 20),
    ("uid_base", 0),
    ("uid_base", 1000),
    ("address", "127.0.0.1"),
    ("address", "100.64.0.1"),
    ("epoch", -1),
    ("limits", {"memory_mib": 1, "cpu_millis": 500, "pids": 64, "disk_mib": 64}),
    ("limits", {"memory_mib": 128, "cpu_millis": 500, "pids": -1, "disk_mib": 64}),
    ("limits", {"memory_mib": 128, "cpu_millis": 500, "pids": 64}),
    ("limits", []),
    ("mounts", ["/:/host"]),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_server_with_a_wrong_field_is_refused_and_nothing_is_made(
    world: LocaldWorld, field: str, value: Any
) -> None:
    wish = a_wish(world)
    answer = ask(world, "ensure_server", spec=wish | {field: value}, fence=fence_of(world))
    assert (answer["ok"], answer["code"], answer["final"]) == (False, "bad_request", True)
    assert list(world.names.servers_dir.iterdir()) == []


WIRE = {
    "wire_id": new_id("att"),
    "tenant_id": new_id("ten"),
    "from_server": new_id("hst"),
    "to_server": new_id("hst"),
    "port": 5432,
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("wire_id", "att_../../../etc/cron.d/x00000"),
        ("wire_id", "hst_" + "0" * 26),
        ("tenant_id", None),
        ("from_server", "ten_" + "0" * 26),
        ("to_server", ["hst"]),
        ("port", 0),
        ("port", 65_536),
        ("port", "5432 accept; drop"),
        ("address", "100.96.0.1"),
    ],
)
def test_a_wire_with_a_wrong_field_is_refused_and_nothing_is_remembered(
    world: LocaldWorld, field: str, value: Any
) -> None:
    for verb, more in (("observe_wire", {}), ("ensure_wire", {"fence": fence_of(world)})):
        answer = ask(world, verb, spec=WIRE | {field: value}, **more)
        assert (answer["ok"], answer["code"], answer["final"]) == (False, "bad_request", True)
    assert not world.names.wires_dir.exists()


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"[]\n",
        b'"text"\n',
        b'{"verb": "format_disk"}\n',
        b'{"verb": ["ping"]}\n',
        b'{"verb": "ping", "extra": 1}\n',
        b'{"verb": "observe_server", "server_id": "hst_\\u0000"}\n',
        b"[" * 50_000 + b"\n",
        b"x" * 70_000 + b"\n",
    ],
)
def test_what_is_no_request_is_refused_and_the_daemon_lives_on(
    world: LocaldWorld, line: bytes
) -> None:
    assert ask_raw(world, line)["code"] == "bad_request"
    assert ask(world, "ping")["result"] == {"instance": world.instance}


@pytest.mark.parametrize(
    "fence",
    [
        None,
        {},
        {"life_id": "lif_x", "counter": 1},
        {"life_id": "../../etc/passwd", "counter": 1},
        {"life_id": new_id("lif"), "counter": "1"},
        {"life_id": new_id("lif"), "counter": -1},
    ],
)
def test_nothing_changes_without_a_proper_fence(
    world: LocaldWorld, fence: Mapping[str, Any] | None
) -> None:
    answer = ask(world, "destroy_server", server_id=new_id("hst"), fence=fence)
    assert (answer["code"], answer["final"]) == ("bad_request", True)


def test_a_handle_that_is_no_pipe_never_enters_a_server(world: LocaldWorld) -> None:
    spec = world.a_running_server()
    root = os.open("/", os.O_RDONLY)
    try:
        request = {"verb": "receive", "server_id": spec.server_id, "call": "missing"}
        line = json.dumps({**request, "arguments": []}).encode() + b"\n"
        answer = ask_raw(world, line, (root, root))
    finally:
        os.close(root)
    assert (answer["code"], answer["facts"]) == ("bad_request", {"field": "handle"})
    world.cloud.destroy_server(spec.server_id, world.fence)


def test_a_user_who_is_not_a_client_is_refused(world: LocaldWorld) -> None:
    world.names.socket.chmod(0o666)  # the second wall is tried alone
    program = (
        "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        'print(s.makefile("rb").readline().decode())'
    )
    argv = ["setpriv", "--reuid", "65534", "--clear-groups", *PYTHON, "-c", program]
    finished = subprocess.run(
        [*argv, str(world.names.socket)], check=True, capture_output=True, text=True
    )
    assert json.loads(finished.stdout)["code"] == "not_allowed"


def test_a_half_request_blocks_nobody_else(world: LocaldWorld) -> None:
    with socket.socket(socket.AF_UNIX) as slow:
        slow.connect(str(world.names.socket))
        slow.sendall(b'{"verb": ')
        assert ask(world, "ping")["ok"]


def test_a_second_daemon_of_the_same_instance_does_not_start(world: LocaldWorld) -> None:
    environment = {"PATH": os.environ["PATH"], "EDUBBA_INSTANCE": world.instance}
    second = subprocess.run(
        [*PYTHON, LOCALD], env=environment, check=False, capture_output=True, timeout=20
    )
    assert second.returncode == 1
    assert b"another locald runs" in second.stderr


def test_code_that_others_may_change_is_not_run_by_root(tmp_path: Path) -> None:
    copied = tmp_path / "control_plane" / "locald"
    copied.mkdir(parents=True)
    for path in LOCALD.glob("*.py"):
        (copied / path.name).write_bytes(path.read_bytes())
    (copied / "names.py").chmod(0o666)
    environment = {"PATH": os.environ["PATH"], "EDUBBA_INSTANCE": "tprefix"}
    finished = subprocess.run(
        [*PYTHON, copied], env=environment, check=False, capture_output=True, timeout=20
    )
    assert finished.returncode == 1
    assert b"names.py can be changed by others than root" in finished.stderr


def run_in(world: LocaldWorld, server: str, *argv: str, **fields: Any) -> dict[str, Any]:
    wish = {"uid": 990, "timeout_s": 20, "fence": fence_of(world), **fields}
    return ask(world, "exec", server_id=server, argv=list(argv), **wish)


def test_a_command_runs_inside_one_server_as_its_uid_and_ends_in_time(world: LocaldWorld) -> None:
    spec = world.a_running_server()
    done = run_in(world, spec.server_id, "/usr/bin/id", "-u")["result"]
    assert (done["code"], done["out"], done["timed_out"]) == (0, "990\n", False)
    failed = run_in(world, spec.server_id, "/bin/sh", "-c", "echo no >&2; exit 7")["result"]
    assert (failed["code"], failed["err"]) == (7, "no\n")
    much = run_in(world, spec.server_id, "/bin/sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x")
    assert len(much["result"]["out"]) == 1 << 20
    nap = f"77.{os.getpid()}"  # nobody else's on this machine
    slow = run_in(world, spec.server_id, "/bin/sh", "-c", f"sleep {nap} & sleep {nap}", timeout_s=1)
    assert slow["result"]["timed_out"]
    assert list_commands(nap) == []
    world.cloud.destroy_server(spec.server_id, world.fence)


def test_a_command_with_a_stale_fence_does_not_run(world: LocaldWorld) -> None:
    spec = world.a_running_server()
    newer = Fence(world.fence.life_id, world.fence.counter + 1)
    world.cloud.ensure_server(spec, newer)
    refused = run_in(world, spec.server_id, "/usr/bin/touch", "/srv/site/x")
    world.fence = newer
    assert (refused["code"], refused["final"]) == ("stale_fence", True)
    world.cloud.destroy_server(spec.server_id, world.fence)


def test_five_hundred_clients_at_once_are_all_answered(world: LocaldWorld) -> None:
    answers: list[bool] = []

    def client() -> None:
        answers.append(ask(world, "ping")["ok"])

    threads = [threading.Thread(target=client) for _ in range(500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 500

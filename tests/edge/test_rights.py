"""What the running edge may do, and who may do what to it."""

import os
import stat
import subprocess
import sys
import traceback
from pathlib import Path
from urllib.request import urlopen

import pytest

from control_plane.ports.edge.port import Route, RouteState
from control_plane.ports.keyring.memory import MemoryKeyring
from tests.edge.world import (
    EDGE_UID,
    WORKER_UID,
    ZONE,
    EdgeWorld,
    certificate,
)

pytestmark = [pytest.mark.root, pytest.mark.slow]


def test_haproxy_has_no_rights(world: EdgeWorld) -> None:
    process = Path("/proc") / str(world.processes["edge"].pid)
    lines = (process / "status").read_text().splitlines()
    status = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
    assert status["Name"] == ["haproxy"]
    assert status["Uid"] == [str(EDGE_UID)] * 4
    assert status["Gid"] == [str(EDGE_UID)] * 4
    assert status["Groups"] == []
    assert status["NoNewPrivs"] == ["1"]
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name][0], 16) == 0, name
    here = Path("/proc/self/ns/net").readlink()
    assert (process / "ns/net").readlink() != here
    assert (process / "environ").read_bytes().count(b"\0") == 6


def test_the_limit_of_connections_fits_the_descriptors(world: EdgeWorld) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", _SHOW_INFO, str(world.admin_socket)], check=True, capture_output=True
    ).stdout.decode()
    info = dict(line.split(": ", 1) for line in shown.splitlines() if ": " in line)
    assert int(info["Maxconn"]) * 2 < int(info["Ulimit-n"])


_SHOW_INFO = """
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b"show info\\n")
print(b"".join(iter(lambda: s.recv(65536), b"")).decode())
"""


def test_only_the_worker_uses_the_admin_socket(world: EdgeWorld) -> None:
    assert can_run(world, WORKER_UID, _SHOW_INFO, str(world.admin_socket))
    assert not can_run(world, EDGE_UID, _SHOW_INFO, str(world.admin_socket))
    assert not can_run(world, 65_534, _SHOW_INFO, str(world.admin_socket))


def test_keys_are_read_by_the_edge_and_written_by_the_worker_only(world: EdgeWorld) -> None:
    found = world.state_dir.stat()
    assert (found.st_uid, found.st_gid) == (WORKER_UID, EDGE_UID)
    assert stat.S_IMODE(found.st_mode) == 0o2751
    key = next((world.state_dir / "certs").glob("_.*.pem"))
    assert stat.S_IMODE(key.stat().st_mode) == 0o640
    assert key.stat().st_gid == EDGE_UID
    read, write = "import sys; open(sys.argv[1])", "import sys; open(sys.argv[1] + '.new', 'w')"
    routes = str(world.state_dir / "routes.map")
    assert can_run(world, EDGE_UID, read, str(key))
    assert not can_run(world, 65_534, read, str(key))
    assert not can_run(world, EDGE_UID, write, routes)
    assert can_run(world, WORKER_UID, write, routes)
    assert not can_run(world, EDGE_UID, write, str(world.folder / "etc" / "haproxy.cfg"))
    Path(f"{routes}.new").unlink()


def test_the_worker_needs_no_other_right_than_its_own(world: EdgeWorld) -> None:
    for path in (world.state_dir / "certs", *world.state_dir.rglob("*")):
        os.chown(path, WORKER_UID, EDGE_UID)
    host = f"by-worker.{ZONE}"

    def work() -> None:
        world.edge.ensure_route(Route(host, RouteState.BUILDING))
        routes = [*world.edge.list_routes(), Route(host, RouteState.SUSPENDED)]
        world.edge.replace_routes(routes)
        for name in (f"*.{ZONE}", "worker.example.iq"):
            world.edge.ensure_certificate(certificate(MemoryKeyring(), name))

    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(WORKER_UID, WORKER_UID, WORKER_UID)
            os.setresuid(WORKER_UID, WORKER_UID, WORKER_UID)
            work()
        except BaseException:  # noqa: BLE001  # a forked test must end here, whatever happens
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    world.stop("edge")
    world.start()  # haproxy can read all of it
    world.edge.ensure_certificate(certificate(world.keyring, f"*.{ZONE}"))
    assert "suspended" in world.edge.observe(host).body.decode()


def can_run(world: EdgeWorld, uid: int, program: str, *arguments: str) -> bool:
    """Whether somebody with this uid, its own group and nothing else succeeds."""
    who = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    command = [*who, "/usr/bin/python3", "-I", "-c", program, *arguments]
    return subprocess.run(command, cwd="/", check=False, capture_output=True).returncode == 0


def test_measures_are_on_loopback_and_nowhere_else(world: EdgeWorld) -> None:
    world.edge.observe(f"ur.{ZONE}")
    with urlopen(f"http://127.0.0.1:{world.ports['metrics']}/metrics", timeout=10) as answer:
        assert b'haproxy_frontend_http_requests_total{proxy="https"}' in answer.read()
    assert b"haproxy_" not in world.edge.observe(f"ur.{ZONE}", "/metrics").body
    wide = [*world.launcher, "--metrics", "0.0.0.0:0"]
    refused = subprocess.run(wide, check=False, capture_output=True)
    assert refused.returncode == 1
    assert b"for this machine only" in refused.stderr

"""The launcher refuses to give root's trust to what others could have written."""

import os
import socket
import stat
import subprocess
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from control_plane.locald.edge import bind_tcp, check_configuration, find_user, prepare_state
from control_plane.ports.edge.config import (
    EdgeConfiguration,
    new_configuration,
    write_configuration,
)
from control_plane.ports.keyring.memory import MemoryKeyring

pytestmark = pytest.mark.root


def test_haproxy_finds_nothing_to_warn_about(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    issued = MemoryKeyring().issue_certificate(["ur.edubba.localhost"], 1)
    (state / "ur.pem").write_text(issued.chain_pem + issued.key_pem)
    (state / "crt-list").write_text(f"{state}/ur.pem\n")
    (state / "routes.map").touch()
    path = write_configuration(EdgeConfiguration(state, tmp_path / "etc"))
    sockets = [socket.socket() for _ in range(3)] + [socket.socket(socket.AF_UNIX)]
    for listener in sockets[:3]:
        listener.bind(("127.0.0.1", 0))
    sockets[3].bind(str(tmp_path / "admin.sock"))
    names = ("HTTP", "HTTPS", "METRICS", "ADMIN")
    numbers = [listener.fileno() for listener in sockets]
    environment = {f"EDUBBA_EDGE_{n}_FD": str(fd) for n, fd in zip(names, numbers, strict=True)}
    done = subprocess.run(
        ["haproxy", "-c", "-dW", "-f", str(path)],
        env={**os.environ, **environment, "EDUBBA_EDGE_MAXCONN": "100"},
        pass_fds=numbers,
        capture_output=True,
        check=False,
    )
    for listener in sockets:
        listener.close()
    assert done.returncode == 0, done.stderr.decode()


OTHERS = (IPv4Network("10.9.0.0/16"), IPv4Network("10.11.0.0/16"))


def test_the_configuration_follows_what_it_is_told(tmp_path: Path) -> None:
    usual = new_configuration(EdgeConfiguration(tmp_path, tmp_path))
    own = EdgeConfiguration(tmp_path, tmp_path, 8443, OTHERS)
    assert "%[var(txn.host)]%[pathq] code 308" in usual
    assert "%[var(txn.host)]:8443%[pathq] code 308" in new_configuration(own)
    assert "-m ip 10.9.0.0/16 10.11.0.0/16 }" in new_configuration(own)


@pytest.mark.parametrize("path", ["/a b", "relative", '/a"b', "/a\nglobal", "/a{b", "/a%b"])
def test_a_path_that_haproxy_would_read_otherwise_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="haproxy can't be given the path"):
        EdgeConfiguration(Path(path), Path("/etc/edubba"))


def test_a_configuration_that_others_can_write_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o755)
    path = folder / "haproxy.cfg"
    path.touch(mode=0o644)
    check_configuration(path)
    link = folder / "link.cfg"
    link.symlink_to(path)
    with pytest.raises(SystemExit):
        check_configuration(link)
    for part, mode in ((path, 0o666), (path, 0o664), (folder, 0o777)):
        before = stat.S_IMODE(part.stat().st_mode)
        part.chmod(mode)
        with pytest.raises(SystemExit):
            check_configuration(path)
        part.chmod(before)
    os.chown(path, 61_002, 0)
    with pytest.raises(SystemExit):
        check_configuration(path)


def test_neither_the_edge_nor_the_worker_may_be_root() -> None:
    for name in ("root", "0"):
        with pytest.raises(SystemExit):
            find_user(name)
    assert find_user("nobody").uid == find_user("65534").uid == 65_534


def test_preparing_twice_keeps_what_the_worker_wrote(tmp_path: Path) -> None:
    edge, worker = find_user("61001"), find_user("61002")
    state = tmp_path / "edge"
    prepare_state(state, edge, worker)
    (state / "routes.map").write_text("kept")
    prepare_state(state, edge, worker)
    assert (state / "routes.map").read_text() == "kept"
    assert (state / "crt-list").stat().st_uid == 61_002


def test_a_link_set_by_the_worker_is_not_followed(tmp_path: Path) -> None:
    edge, worker = find_user("61001"), find_user("61002")
    victim = tmp_path / "victim"
    victim.write_text("root's")
    state = tmp_path / "edge"
    state.mkdir()
    (state / "routes.map").symlink_to(victim)
    (state / "crt-list").symlink_to(tmp_path / "not-there")
    prepare_state(state, edge, worker)
    assert victim.stat().st_uid == 0
    assert not (tmp_path / "not-there").exists()
    other = tmp_path / "other"
    other.symlink_to(tmp_path)
    with pytest.raises(OSError, match="other"):
        prepare_state(other, edge, worker)


def test_a_taken_port_is_said_plainly() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SystemExit, match=f"can't listen on {where}"):
            bind_tcp(where)
    with pytest.raises(SystemExit, match="not address:port"):
        bind_tcp("localhost:http")

"""The edge's launcher: root for a moment, then haproxy without any right.

It binds the listeners in the host's network namespace, enters the edge's, gives up every
capability and becomes haproxy, which gets its sockets as inherited descriptors. It reads nothing
that another user wrote; haproxy, by then nobody special, does.
"""

import argparse
import ctypes
import ipaddress
import os
import pwd
import resource
import socket
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from control_plane.locald.edge_namespace import ensure_edge_namespace

HAPROXY = "/usr/sbin/haproxy"
CONNECTIONS_MAX = 10_000  # about 50 KiB each with TLS
_DESCRIPTORS_KEPT = 200  # listeners, pollers, logs, the admin socket's clients
_CLONE_NEWNET = 0x40000000
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_STATE_FILES = ("routes.map", "crt-list")  # haproxy doesn't start without them


@dataclass(frozen=True, slots=True)
class User:
    """Somebody to become, or to give a file to."""

    uid: int
    gid: int
    groups: tuple[int, ...]


def main(arguments: list[str] | None = None) -> None:
    """Become haproxy; returns never."""
    options = _parse(arguments)
    edge, worker = find_user(options.user), find_user(options.worker)
    check_configuration(options.config)
    metrics = _loopback(options.metrics)
    prepare_state(options.state, edge, worker)
    listeners = {
        "HTTP": bind_tcp(options.http),
        "HTTPS": bind_tcp(options.https),
        "METRICS": bind_tcp(metrics),
        "ADMIN": bind_admin(options.admin, worker),
    }
    if not options.in_host_network:
        enter(ensure_edge_namespace(options.instance))
    connections = raise_descriptors()
    drop_rights(edge)
    environment = {f"EDUBBA_EDGE_{name}_FD": str(fd) for name, fd in listeners.items()}
    environment |= {"EDUBBA_EDGE_MAXCONN": str(connections), "PATH": "/usr/sbin:/usr/bin"}
    os.chdir("/")
    os.execve(HAPROXY, [HAPROXY, "-db", "-f", str(options.config)], environment)  # noqa: S606


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="edubba-edge", description=__doc__)
    parser.add_argument("--instance", default="edubba")
    parser.add_argument("--http", default="0.0.0.0:80", help="address:port for http")
    parser.add_argument("--https", default="0.0.0.0:443", help="address:port for https")
    parser.add_argument("--metrics", default="127.0.0.1:8605", help="loopback address:port")
    parser.add_argument(
        "--in-host-network",
        action="store_true",
        help="servers are reached by this machine's own routes, as those of OpenStack are",
    )
    parser.add_argument("--config", type=Path, required=True, help="root-owned haproxy.cfg")
    parser.add_argument("--state", type=Path, help="maps and certificates, the worker's")
    parser.add_argument("--admin", type=Path, help="haproxy's runtime socket, the worker's")
    parser.add_argument("--user", help="name or uid that haproxy runs as")
    parser.add_argument("--worker", help="name or uid that writes the maps")
    options = parser.parse_args(arguments)
    options.state = options.state or Path("/var/lib") / options.instance / "edge"
    options.admin = options.admin or Path("/run") / options.instance / "edge.sock"
    options.user = options.user or f"{options.instance}-edge"
    options.worker = options.worker or f"{options.instance}-worker"
    return options


def find_user(name: str) -> User:
    """Return a user by name, or by a uid that needs no entry (its group has the same number)."""
    if name.isdecimal():
        user = User(int(name), int(name), ())
    else:
        entry = pwd.getpwnam(name)
        groups = tuple(os.getgrouplist(name, entry.pw_gid))
        user = User(entry.pw_uid, entry.pw_gid, groups)
    if user.uid == 0 or user.gid == 0 or 0 in user.groups:
        raise SystemExit(f"{name} is root, which neither the edge nor the worker may be")
    return user


def check_configuration(path: Path) -> None:
    """Refuse a configuration that anybody but root can change."""
    for part in (path, path.parent):
        found = part.lstat()
        if found.st_uid != 0 or stat.S_IMODE(found.st_mode) & 0o022 or part.is_symlink():
            raise SystemExit(f"{part} can be changed by others than root")


def prepare_state(folder: Path, edge: User, worker: User) -> None:
    """Make the worker's folder, in the edge's group, with the files that haproxy starts from.

    What is inside belongs to the worker, so it is only ever touched through descriptors that
    follow no link.
    """
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    os.fchown(handle, worker.uid, edge.gid)
    # New files take the edge's group; everybody may read the CA's certificate by its name.
    os.fchmod(handle, 0o2751)
    for name in _STATE_FILES:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            made = os.open(name, flags, 0o640, dir_fd=handle)
        except FileExistsError:
            continue
        os.fchown(made, worker.uid, edge.gid)
        os.fchmod(made, 0o640)
        os.close(made)
    os.close(handle)


def bind_tcp(where: str) -> int:
    """Return an inheritable descriptor bound to `address:port` (`[::]:443` serves IPv4 too)."""
    host, port = _address(where)
    family = socket.AF_INET6 if isinstance(host, ipaddress.IPv6Address) else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    try:
        listener.bind((str(host), port))
    except OSError as error:
        listener.close()
        raise SystemExit(f"the edge can't listen on {where}: {error.strerror}") from error
    listener.set_inheritable(True)  # the library's own signature
    return listener.detach()


def bind_admin(path: Path, worker: User) -> int:
    """Return haproxy's runtime socket, which the worker's group alone can use."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777)  # nobody, until its group is set
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    os.chown(path, 0, worker.gid)
    path.chmod(0o660)
    listener.set_inheritable(True)  # the library's own signature
    return listener.detach()


def enter(namespace: str | os.PathLike[str]) -> None:
    """Enter a network namespace by its path; sockets that exist stay where they were made."""
    descriptor = os.open(namespace, os.O_RDONLY)
    if _libc().setns(descriptor, _CLONE_NEWNET) != 0:
        raise SystemExit(f"can't enter {namespace}: {os.strerror(ctypes.get_errno())}")
    os.close(descriptor)


def raise_descriptors() -> int:
    """Use every descriptor allowed; return how many connections that is, two for each."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return min(CONNECTIONS_MAX, (most - _DESCRIPTORS_KEPT) // 2)


def drop_rights(user: User) -> None:
    """Become the user for good: no capability is left, and none can be gained."""
    libc = _libc()
    capability = 0
    while libc.prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) >= 0:
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            raise SystemExit(f"can't drop capability {capability}")
        capability += 1
    os.setgroups(list(user.groups))
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)  # clears the permitted and effective sets
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise SystemExit("can't give up new privileges")
    os.umask(0o077)


def _address(where: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    host, _, port = where.rpartition(":")
    try:
        return ipaddress.ip_address(host.strip("[]")), int(port)
    except ValueError as error:
        raise SystemExit(f"{where} is not address:port") from error


def _loopback(where: str) -> str:
    if not _address(where)[0].is_loopback:
        raise SystemExit(f"metrics are for this machine only, not for {where}")
    return where


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


if __name__ == "__main__":
    main(sys.argv[1:])

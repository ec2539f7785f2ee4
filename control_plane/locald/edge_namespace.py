"""The edge's network namespace: where all servers' links end, and nothing is forwarded.

Servers are kept apart by this topology first; `nft.py` adds rules as a second wall. The launcher
of the edge and the daemon both call `ensure_edge_namespace`, at any time, in any order.
"""

import contextlib
import fcntl
import os
import signal
import socket
from pathlib import Path

from control_plane.locald.commands import attempt, run
from control_plane.locald.names import INSTANCE, Names
from control_plane.locald.namespaces import (
    is_network_namespace,
    list_wrong_sysctls,
    write_sysctls,
)
from control_plane.locald.protocol import peer

_CONNECT_S = 1.0
_HANDLES = Path("/run/netns")  # where `ip netns` keeps them
# A new namespace may inherit forwarding from the host (seen), so each switch is set, not assumed.
SYSCTLS = {
    "net.ipv4.ip_forward": "0",
    "net.ipv4.conf.all.forwarding": "0",
    "net.ipv4.conf.default.forwarding": "0",
    "net.ipv4.conf.all.rp_filter": "1",
    "net.ipv4.conf.default.rp_filter": "1",
    "net.ipv4.conf.all.arp_ignore": "1",  # a link's end answers for its own address only
    "net.ipv4.conf.all.accept_redirects": "0",
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv4.conf.all.accept_source_route": "0",
    "net.ipv6.conf.all.disable_ipv6": "1",
    "net.ipv6.conf.default.disable_ipv6": "1",
    "net.ipv6.conf.all.forwarding": "0",
}


def edge_namespace_path(instance: str) -> Path:
    """Return the handle of the edge's namespace, whether it exists or not."""
    return _HANDLES / Names.of(instance).edge_namespace


def ensure_edge_namespace(instance: str) -> Path:
    """Make the namespace or adopt it, shut off forwarding and IPv6 in it; return its handle.

    Safe to call from several processes at once and after a crash half way. Raises ValueError for
    a bad name, CommandFailed or OSError where the kernel refuses.
    """
    path = edge_namespace_path(instance)
    _HANDLES.mkdir(mode=0o755, parents=True, exist_ok=True)
    lock = os.open("/run", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_network_namespace(path):
            path.unlink(missing_ok=True)  # what a crash between file and mount left
            run(["ip", "netns", "add", path.name])
        run(["ip", "-n", path.name, "link", "set", "lo", "up"])
    finally:
        os.close(lock)
    write_sysctls(path, SYSCTLS)
    return path


def list_edge_faults(names: Names) -> list[str]:
    """Say what is missing or open: `edge_missing`, `edge_elsewhere`, `edge_forwards`."""
    path = edge_namespace_path(names.instance)
    if not is_network_namespace(path):
        return ["edge_missing"]
    wrong = list_wrong_sysctls(path, SYSCTLS)
    forwards = any("forward" in name for name in wrong)
    others = any("forward" not in name for name in wrong)
    elsewhere = _find_edge_elsewhere(names) is not None
    found = {"edge_elsewhere": elsewhere, "edge_forwards": forwards, "edge_sysctl": others}
    return [fault for fault, is_so in found.items() if is_so]


def end_edge_elsewhere(names: Names) -> None:
    """End an edge that was left in a namespace whose handle is gone; it is started anew.

    As long as it runs, it keeps that namespace, and in it the servers' links.
    """
    pid = _find_edge_elsewhere(names)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def _find_edge_elsewhere(names: Names) -> int | None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_CONNECT_S)
        try:
            client.connect(str(names.edge_socket))
            pid, _ = peer(client)  # who listens, as the kernel knows it
            present = edge_namespace_path(names.instance).stat().st_ino
            return pid if Path(f"/proc/{pid}/ns/net").stat().st_ino != present else None
        except OSError:  # none runs, or it has just ended
            return None


def remove_edge_namespace(instance: str) -> None:
    """Remove the namespace with all links in it; nothing happens if it is gone."""
    if not INSTANCE.fullmatch(instance):
        raise ValueError(instance)
    path = edge_namespace_path(instance)
    if is_network_namespace(path):
        attempt(["ip", "netns", "delete", path.name])
    path.unlink(missing_ok=True)

"""The edge's network namespace: where all servers' links end, and nothing is forwarded.

Servers are kept apart by this topology first; `nft.py` adds rules as a second wall. The launcher
of the edge and the daemon both call `ensure_edge_namespace`, at any time, in any order.
"""

import fcntl
import os
from pathlib import Path

from control_plane.locald.commands import attempt, run
from control_plane.locald.names import INSTANCE, Names
from control_plane.locald.namespaces import (
    is_network_namespace,
    list_wrong_sysctls,
    write_sysctls,
)

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


def list_edge_faults(instance: str) -> list[str]:
    """Say what of the namespace is missing or open: `edge_missing`, `edge_forwards`."""
    path = edge_namespace_path(instance)
    if not is_network_namespace(path):
        return ["edge_missing"]
    wrong = list_wrong_sysctls(path, SYSCTLS)
    forwards = any("forward" in name for name in wrong)
    others = any("forward" not in name for name in wrong)
    return ["edge_forwards"] * forwards + ["edge_sysctl"] * others


def remove_edge_namespace(instance: str) -> None:
    """Remove the namespace with all links in it; nothing happens if it is gone."""
    if not INSTANCE.fullmatch(instance):
        raise ValueError(instance)
    path = edge_namespace_path(instance)
    if is_network_namespace(path):
        attempt(["ip", "netns", "delete", path.name])
    path.unlink(missing_ok=True)

"""What runc is told: pure builders of an OCI bundle's `config.json` and of one process."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from control_plane.locald.cgroups import CPU_PERIOD_US, cpu_quota_us
from control_plane.locald.checks import Limits, Server
from control_plane.locald.images import Image

_MIB = 1 << 20
_OPEN_FILES = 4096  # set explicitly: where CAP_SYS_RESOURCE is missing, a host's own may be lower
# What root inside may do when something is executed as root; the server's own process has none.
ROOT_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETGID",
    "CAP_SETUID",
)
# Of the server's own network, set from outside: the first spares nginx its only capability.
SYSCTLS = {
    "net.ipv4.ip_unprivileged_port_start": "0",
    "net.ipv4.ip_forward": "0",
    "net.ipv4.conf.default.forwarding": "0",
    "net.ipv4.conf.all.rp_filter": "1",
    "net.ipv4.conf.default.rp_filter": "1",
    "net.ipv4.conf.all.arp_ignore": "1",  # a link's end answers for its own address only
    "net.ipv4.conf.all.accept_redirects": "0",
    "net.ipv4.conf.all.accept_source_route": "0",
    "net.ipv6.conf.all.disable_ipv6": "1",
    "net.ipv6.conf.default.disable_ipv6": "1",
}
_ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG=C.UTF-8",
    "HOME=/tmp",
)
_MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclass(frozen=True, slots=True)
class Paths:
    """Where on the host a server's parts lie."""

    rootfs: Path
    cgroup: str


def new_process(
    argv: Sequence[str], uid: int, gid: int, capabilities: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the description of a process inside a server."""
    sets = ("bounding", "effective", "permitted")
    return {
        "terminal": False,
        "user": {"uid": uid, "gid": gid},
        "args": list(argv),
        "cwd": "/",
        "env": list(_ENVIRONMENT),
        "capabilities": {name: list(capabilities) for name in sets},
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": _OPEN_FILES, "soft": _OPEN_FILES}],
        "noNewPrivileges": True,
        "oomScoreAdj": 500,  # a tenant goes before anything of the host
    }


def new_resources(limits: Limits, *, with_swap: bool) -> dict[str, Any]:
    """Return limits as runc understands them; with swap counted, none of it may be used."""
    memory: dict[str, int] = {"limit": limits.memory_mib * _MIB}
    if with_swap:
        memory["swap"] = limits.memory_mib * _MIB
    return {
        "memory": memory,
        "cpu": {"quota": cpu_quota_us(limits), "period": CPU_PERIOD_US},
        "pids": {"limit": limits.pids},
    }


def _tmpfs(destination: str, size: str, mode: str) -> dict[str, Any]:
    options = ["nosuid", "nodev", "noexec", f"mode={mode}", f"size={size}"]
    return {"destination": destination, "type": "tmpfs", "source": "tmpfs", "options": options}


def _writable(rootfs: Path, path: str, *more: str) -> dict[str, Any]:
    source = str(rootfs / path.lstrip("/"))
    options = ["bind", "rw", "nosuid", "nodev", *more]
    return {"destination": path, "type": "bind", "source": source, "options": options}


def _mounts(rootfs: Path, image: Image) -> list[dict[str, Any]]:
    terminals = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
    quiet = ["nosuid", "noexec", "nodev"]
    devices = ["nosuid", "strictatime", "mode=755", "size=64k"]
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": quiet},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": devices},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": terminals},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*quiet, "ro"]},
        _tmpfs("/dev/shm", "16m", "1777"),  # noqa: S108  # a path inside the server
        _tmpfs("/run", "16m", "1777"),  # process 1 is not root
        _tmpfs("/tmp", "64m", "1777"),  # noqa: S108  # a path inside the server
        _tmpfs("/var/log", "8m", "755"),
    ]
    mounts += [_writable(rootfs, path, "noexec") for path in image.writable]
    return mounts + [_writable(rootfs, path) for path in image.executable]


def new_bundle(
    spec: Server, image: Image, paths: Paths, seccomp: dict[str, Any], *, with_swap: bool
) -> dict[str, Any]:
    """Return `config.json`: read-only but for what the image names, no capability, own uids."""
    mapping = [{"containerID": 0, "hostID": spec.uid_base, "size": 65536}]
    namespaces = ("pid", "ipc", "uts", "mount", "network", "user", "cgroup")
    nobody_enters = {"devices": [{"allow": False, "access": "rwm"}]}
    return {
        "ociVersion": "1.0.2",
        "hostname": spec.server_id.replace("_", "-"),
        "process": new_process(image.args, image.uid, image.gid),
        "root": {"path": str(paths.rootfs), "readonly": True},
        "mounts": _mounts(paths.rootfs, image),
        "annotations": {"edubba.image": spec.image, "edubba.tenant": spec.tenant_id},
        "linux": {
            "cgroupsPath": paths.cgroup,
            "resources": {**new_resources(spec.limits, with_swap=with_swap), **nobody_enters},
            "namespaces": [{"type": name} for name in namespaces],
            "uidMappings": mapping,
            "gidMappings": mapping,
            "maskedPaths": list(_MASKED),
            "readonlyPaths": list(_READ_ONLY),
            "seccomp": seccomp,
        },
    }

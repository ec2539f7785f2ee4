"""How the facts about a machine are found; what they mean, `diagnosis` knows."""

import ctypes
import os
import pwd
import shutil
import socket
import stat
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from control_plane.blueprints.actions import read_folder
from control_plane.cli.diagnosis import Facts, SocketFact
from control_plane.kit.documents import DocumentInvalid
from control_plane.kit.installed import tenants_dir
from control_plane.regions import read_regions
from control_plane.settings import Settings

COMMANDS = ("haproxy", "ip", "mkfs.ext4", "mmdebstrap", "nft", "runc")
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"  # a person's own may lack sbin
EDGE_PORTS = (80, 443)
EXAMPLES = ("health",)  # as in playbooks/roles/platform
TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")
LISTENING = "0A"  # state in /proc/net/tcp
TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
LOOK_TIMEOUT_S = 5


def look_at_machine(settings: Settings) -> Facts:
    """Gather everything the checks ask for; changes nothing."""
    is_root = os.geteuid() == 0
    prefix = Path("/opt") / settings.instance
    regions, regions_error = _regions(settings)
    return Facts(
        is_root=is_root,
        has_sudo=shutil.which("sudo", path=SYSTEM_PATH) is not None,
        system=_system(),
        kernel=_kernel(),
        has_overlay=_has_overlay(),
        user_namespaces=_number(Path("/proc/sys/user/max_user_namespaces")),
        controllers=_controllers(),
        missing_commands=tuple(c for c in COMMANDS if not shutil.which(c, path=SYSTEM_PATH)),
        packet_filter_error=_packet_filter_error() if is_root else None,
        has_loop_devices=Path("/dev/loop-control").exists(),
        free_disk_mib=shutil.disk_usage("/var").free >> 20,
        memory_mib=_available_memory_mib(),
        listeners={port: _listener(port) for port in EDGE_PORTS},
        foreign_names=tuple(n for n in _example_names(settings) if not _is_loopback(n)),
        is_clock_synchronised=_is_clock_synchronised(),
        is_installed=(prefix / "installed").is_file(),
        writable_prefix=_writable_by_others(prefix / "venv"),
        images=frozenset(path.parent.name for path in settings.images_dir.glob("*/*.json")),
        needed_images=_needed_images(),
        processes=_processes(settings.instance) if is_root else None,
        readiness=_readiness(f"http://{settings.bind_host}:{settings.bind_port}/readyz"),
        sockets={
            "locald": _socket(settings.locald_socket),
            "edge": _socket(settings.edge_socket),
            "bell": _socket(settings.bell_socket),
            "runner": _socket(settings.runner_socket),
        },
        ca_file=str(settings.ca_file),
        is_ca_trusted=_is_ca_trusted(settings.ca_file),
        regions=regions,
        regions_error=regions_error,
    )


def _needed_images() -> dict[str, str]:
    blueprints = [read_folder(p) for p in (tenants_dir() / "blueprints").iterdir() if p.is_dir()]
    return {one.name: one.image for one in blueprints}


def _regions(settings: Settings) -> tuple[tuple[str, ...] | None, str | None]:
    try:
        return tuple(read_regions(settings)), None
    except PermissionError:
        return None, None
    except DocumentInvalid as invalid:
        first = invalid.mistakes[0]
        return (), f"{settings.regions_file.name}, line {first.line}: {first.reason}"
    except (OSError, UnicodeDecodeError) as error:
        return (), str(error)


def _system() -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    known = dict(line.split("=", 1) for line in lines if "=" in line)
    return f"{known.get('ID', '?')} {known.get('VERSION_ID', '?')}".replace('"', "")


def _kernel() -> tuple[int, int]:
    major, minor = os.uname().release.split("-")[0].split(".")[:2]
    return int(major), int(minor)


def _has_overlay() -> bool:
    if "overlay" in Path("/proc/filesystems").read_text().split():
        return True
    modules = Path("/lib/modules") / os.uname().release / "kernel/fs/overlayfs"
    return modules.is_dir()  # mount loads it when it is first needed


def _number(path: Path) -> int:
    return int(path.read_text()) if path.exists() else 0


def _controllers() -> frozenset[str]:
    unified = Path("/sys/fs/cgroup/cgroup.controllers")
    if unified.exists():
        return frozenset(unified.read_text().split())
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return frozenset(word for m in mounts if m[2] == "cgroup" for word in m[3].split(","))


def _packet_filter_error() -> str | None:
    nft = shutil.which("nft", path=SYSTEM_PATH)
    if nft is None:
        return "nft"
    trial = "add table inet edubba_doctor"  # checked by the kernel, never applied
    done = subprocess.run(
        [nft, "--check", trial], capture_output=True, text=True, check=False, timeout=LOOK_TIMEOUT_S
    )
    return None if done.returncode == 0 else done.stderr.strip()[:200]


def _available_memory_mib() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) >> 10
    return 0


def _listener(port: int) -> str | None:
    inodes = _listening_inodes(port)
    if not inodes:
        return "free"
    for process in Path("/proc").glob("[0-9]*"):
        if not inodes & _socket_inodes(process):
            continue
        command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return "ours" if "edubba" in command else (process / "comm").read_text().strip()
    return None


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        source = Path("/proc/net") / table
        lines = source.read_text().splitlines()[1:] if source.exists() else []
        for fields in map(str.split, lines):
            if fields[3] == LISTENING and int(fields[1].rsplit(":", 1)[1], 16) == port:
                found.add(fields[9])
    return found


def _socket_inodes(process: Path) -> set[str]:
    try:
        links = [str(fd.readlink()) for fd in (process / "fd").iterdir()]
    except OSError:  # gone meanwhile, or another user's
        return set()
    return {link[8:-1] for link in links if link.startswith("socket:[")}


def _example_names(settings: Settings) -> list[str]:
    return [f"{name}.{settings.zone}" for name in EXAMPLES] if settings.is_loopback_zone else []


def _is_loopback(name: str) -> bool:
    try:
        found = socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return False
    return all(str(address[4][0]) in {"127.0.0.1", "::1"} for address in found)


def _is_clock_synchronised() -> bool:
    # A zeroed struct timex asks without changing anything; 512 bytes are more than any layout.
    return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))) != TIME_ERROR


def _writable_by_others(root: Path) -> tuple[str, ...]:
    below = [root, *root.glob("bin/*"), *root.glob("lib/python*/site-packages/control_plane/**/*")]
    seen = [(path, path.lstat()) for path in below if path.exists()]
    return tuple(
        str(path)
        for path, status in seen
        if not stat.S_ISLNK(status.st_mode) and (status.st_uid or status.st_mode & 0o022)
    )[:3]


def _processes(instance: str) -> Mapping[str, str] | None:
    program = f"/opt/{instance}/venv/bin/supervisorctl"
    command = [program, "-c", f"/etc/{instance}/supervisord.conf", "status"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=LOOK_TIMEOUT_S
        )
    except OSError:
        return None
    rows = [line.split() for line in done.stdout.splitlines()]
    return {row[0]: row[1] for row in rows if len(row) > 1 and row[1].isupper()}


def _readiness(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=LOOK_TIMEOUT_S):  # noqa: S310  # http, our own port
            return "ready"
    except urllib.error.HTTPError as error:
        return error.read(300).decode(errors="replace")
    except urllib.error.URLError as error:
        return str(error.reason)
    except OSError as error:
        return str(error)


def _socket(path: Path) -> SocketFact | None:
    try:
        status = path.stat()
    except OSError:  # absent, or in a directory closed to this person
        return None
    return SocketFact(pwd.getpwuid(status.st_uid).pw_name, stat.S_IMODE(status.st_mode))


def _is_ca_trusted(ca_file: Path) -> bool | None:
    if not ca_file.is_file():
        return None
    body = "".join(ca_file.read_text().split("-----")[2].split())
    return TRUSTED.exists() and body in "".join(TRUSTED.read_text().split())

"""What the cloud needs of the host's kernel, and that nothing of it stays."""

import ctypes
import fcntl
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from plan import Plan

NEW_MOUNTS, NEW_CGROUP, NEW_UTS, NEW_IPC, NEW_PID, NEW_NETWORK = (  # <sched.h>
    0x00020000,
    0x02000000,
    0x04000000,
    0x08000000,
    0x20000000,
    0x40000000,
)
MNT_DETACH = 2  # <sys/mount.h>
_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Leave these namespaces for new ones."""
    if _libc.unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


@contextmanager
def new_processes() -> Iterator[None]:
    """Have the next child be process 1 of a new namespace, those after it the host's again."""
    before = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    unshare(NEW_PID)
    try:
        yield
    finally:
        if _libc.setns(before, NEW_PID):
            number = ctypes.get_errno()
            raise OSError(number, f"setns: {os.strerror(number)}")
        os.close(before)


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount, as the system call of that name does."""
    words = [word.encode() for word in (source, target, kind)]
    if _libc.mount(*words, ctypes.c_ulong(flags), data.encode()):
        number = ctypes.get_errno()
        raise OSError(number, f"mount {kind} {source} on {target}: {os.strerror(number)}")


def let_go_of_disks() -> None:
    """Unmount disks in files, as tenants have them on this machine: a copy would hold them here.

    Only this process's own view of the machine changes; whoever ends a tenant waits for no other.
    """
    for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
        about, _, origin = line.partition(" - ")
        target, source = about.split()[4], origin.split()[1]
        if source.startswith("/dev/loop") and _libc.umount2(target.encode(), MNT_DETACH):
            number = ctypes.get_errno()
            raise OSError(number, f"unmount {target}: {os.strerror(number)}")


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that made it ends."""
    set_death_signal, kill = 1, 9  # PR_SET_PDEATHSIG, SIGKILL
    _libc.prctl(set_death_signal, kill, 0, 0, 0)


def new_pair() -> tuple[socket.socket, socket.socket]:
    """Return two ends by which the keeper and the first process wait for each other."""
    return socket.socketpair()


def run(*argv: str) -> str:
    """Run a command of the host; raise OSError with what it said if it failed."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


@contextmanager
def lock(plan: Plan) -> Iterator[None]:
    """Hold what tells that the cloud runs: the kernel lets go of it when the keeper ends."""
    number = os.open(plan.run_dir / "keeper", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.ftruncate(number, 0)
    os.write(number, f"{os.getpid()}\n".encode())
    try:
        yield
    finally:
        os.close(number)


def find_keeper(plan: Plan) -> int | None:
    """Return the keeper's process, if it lives."""
    path = plan.run_dir / "keeper"
    if not path.exists():
        return None
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(file.read())
    return None


def join_network(plan: Plan, first: int) -> None:
    """Make the link between host and cloud, and the route to the floating addresses."""
    far = "host"
    run("ip", "link", "add", plan.link, "type", "veth", "peer", "name", far, "netns", str(first))
    run("ip", "address", "add", str(plan.host_address), "dev", plan.link)
    run("ip", "link", "set", plan.link, "up")
    run("ip", "route", "add", str(plan.floating), "via", str(plan.address.ip), "dev", plan.link)


def list_hierarchies() -> list[Path]:
    """Return where control groups are mounted: of version 1 each controller, else the one tree."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    first = [Path(words[1]) for words in lines if words[2] == "cgroup"]
    return first or [Path(words[1]) for words in lines if words[2] == "cgroup2"]


def enter_cgroups(plan: Plan) -> None:
    """Move this process into groups of the cloud."""
    for hierarchy in list_hierarchies():
        group = hierarchy / plan.name
        group.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):  # of version 1: empty, and closed while empty
            if (group / name).exists() and (hierarchy / name).exists():
                (group / name).write_text((hierarchy / name).read_text())
        (group / "cgroup.procs").write_text("0")


def clean(plan: Plan) -> None:
    """Remove what outlives the cloud's processes: link, loop devices, control groups."""
    if Path(f"/sys/class/net/{plan.link}").exists():
        run("ip", "link", "delete", plan.link)
    listed = run("losetup", "--list", "--json", "--output", "NAME,BACK-FILE")
    for device in json.loads(listed or "{}").get("loopdevices", []):
        if str(device["back-file"]).startswith(f"{plan.state_dir}/"):
            run("losetup", "--detach", device["name"])
    for hierarchy in list_hierarchies():
        for folder, _, _ in os.walk(hierarchy / plan.name, topdown=False):
            with suppress(FileNotFoundError):
                Path(folder).rmdir()

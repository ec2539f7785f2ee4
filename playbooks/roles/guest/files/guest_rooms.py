"""The rooms in which all that serves a tenant lives: a read-only root, few devices, own processes.

The same as on a cloud of containers: nothing can be written but what the image names, `/tmp` and
`/run`; programs lie only where the image says; of the machine's own processes, devices and keys
nothing is seen. Runs and the receiver work in here, too; what lets them in stays outside.
"""

import os
from pathlib import Path

import guest_kernel as kernel
from guest_state import KEPT
from guest_wish import Image

OPEN_FILES = 4096
OOM_SCORE = 500  # a tenant goes before what lets us in
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/tmp",  # noqa: S108  # the server's own
}
ALL = kernel.NEW_MOUNTS | kernel.NEW_IPC | kernel.NEW_PIDS
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_QUIET = kernel.NOSUID | kernel.NODEV | kernel.NOEXEC
_TMPFS = {
    "/dev/shm": "size=16m,mode=1777",  # noqa: S108  # the server's own
    "/run": "size=16m,mode=1777",  # what is process 1 in here is not root
    "/tmp": "size=64m,mode=1777",  # noqa: S108  # the server's own
    "/var/log": "size=8m,mode=755",
}
_HIDDEN = (
    str(KEPT),  # the host's key, fences
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/cgroup",
)
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/sys")


def _change(path: str, flags: int) -> None:
    kernel.mount("none", path, flags=kernel.BIND | kernel.REMOUNT | flags)


def _bind(source: str, path: str, flags: int) -> None:
    kernel.mount(source, path, flags=kernel.BIND)
    _change(path, flags)


def _lay_out_devices() -> None:
    """Lay a few of the machine's devices over all of them; nothing here can make others."""
    kernel.mount("/dev", "/mnt", flags=kernel.BIND | kernel.REC)
    kernel.mount("tmpfs", "/dev", "tmpfs", kernel.NOSUID, "mode=755,size=64k")
    for name in _DEVICES:
        Path("/dev", name).touch()
        _bind(f"/mnt/{name}", f"/dev/{name}", kernel.NOSUID | kernel.NOEXEC)
    for name in ("pts", "shm"):
        Path("/dev", name).mkdir()
    options = "newinstance,ptmxmode=0666,mode=0620,gid=5"
    kernel.mount("devpts", "/dev/pts", "devpts", kernel.NOSUID | kernel.NOEXEC, options)
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0"}
    links |= {"stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
    for name, target in links.items():
        Path("/dev", name).symlink_to(target)
    kernel.mount("tmpfs", "/mnt", "tmpfs", kernel.RDONLY | _QUIET, "size=4k")


def _hide(path: str) -> None:
    if Path(path).is_dir():
        kernel.mount("tmpfs", path, "tmpfs", kernel.RDONLY | _QUIET, "size=4k,mode=755")
    elif Path(path).exists():
        kernel.mount("/dev/null", path, flags=kernel.BIND)


def furnish(image: Image) -> None:
    """Lay the rooms out, as the first process in namespaces of its own. Raises OSError."""
    kernel.mount("none", "/", flags=kernel.REC | kernel.PRIVATE)
    for path in image.writable:
        _bind(path, path, _QUIET)
    for path in image.executable:
        _bind(path, path, kernel.NOSUID | kernel.NODEV)
    kernel.mount("proc", "/proc", "proc", _QUIET)
    _lay_out_devices()
    for path, options in _TMPFS.items():
        kernel.mount("tmpfs", path, "tmpfs", _QUIET, options)
    for path in _HIDDEN:
        _hide(path)
    for path in _READ_ONLY:
        if Path(path).exists():
            kernel.mount(path, path, flags=kernel.BIND | kernel.REC)
            _change(path, kernel.RDONLY | _QUIET)
    _change("/", kernel.RDONLY | kernel.NODEV | kernel.NOSUID)
    os.chdir("/")

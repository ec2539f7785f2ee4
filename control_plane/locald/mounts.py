"""Mounts of a server: its disk, the image with shifted owners, and both laid over one another."""

import ctypes
import os
from pathlib import Path

from control_plane.locald.commands import SPAWNING, run
from control_plane.locald.faults import Refusal

_libc = ctypes.CDLL(None, use_errno=True)
# linux/mount.h, linux/fcntl.h; the numbers of these calls are the same on all architectures.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 1, 0o2000000
_MOVE_MOUNT_F_EMPTY_PATH, _AT_EMPTY_PATH, _AT_FDCWD = 4, 0x1000, -100
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV, _ATTR_IDMAP = 1, 2, 4, 0x00100000
_CLONE_NEWUSER = 0x10000000
_UIDS = 65536


class _Attributes(ctypes.Structure):
    _fields_ = [  # ctypes reads a plain list
        (name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")
    ]


def mount_points(below: Path) -> list[Path]:
    """Return what is mounted at `below` and under it, the innermost first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = Path(line.split(" ")[4].encode().decode("unicode_escape"))
        if point == below or below in point.parents:
            found.append(point)
    return found[::-1]


def is_mounted(point: Path) -> bool:
    """Whether something is mounted exactly there."""
    return point in mount_points(point)


def unmount(below: Path) -> None:
    """Unmount everything at `below` and under it; nothing happens if nothing is mounted.

    Raises CommandFailed while something is in use.
    """
    for point in mount_points(below):
        run(["umount", str(point)])


def _check(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def _user_namespace(uid_base: int) -> int:
    """Return a handle on a user namespace whose uid 0 is `uid_base`."""
    ready_read, ready_write = os.pipe()
    done_read, done_write = os.pipe()
    child = os.fork()  # it makes two system calls and ends: no lock of another thread is needed
    if child == 0:
        os.close(done_write)
        failed = _libc.unshare(_CLONE_NEWUSER)
        os.write(ready_write, b"0" if failed else b"1")
        os.read(done_read, 1)
        os._exit(0)
    try:
        os.close(done_read)
        if os.read(ready_read, 1) != b"1":
            raise Refusal("kernel_lacks", feature="user namespaces")
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{child}/{name}").write_text(f"0 {uid_base} {_UIDS}")
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        for handle in (ready_read, ready_write, done_write):
            os.close(handle)
        os.waitpid(child, 0)


def ensure_shifted(source: Path, point: Path, uid_base: int) -> None:
    """Mount `source` read-only at `point`, its owners shifted by `uid_base`.

    Raises Refusal (`kernel_lacks`) where the kernel knows no idmapped mounts (before 5.12).
    """
    if is_mounted(point):
        return
    point.mkdir(parents=True, exist_ok=True)
    with SPAWNING:  # the reaper shall not take this child
        namespace = _user_namespace(uid_base)
    tree = -1
    try:
        clone = ctypes.c_uint(_OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC)
        tree = _check(_libc.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(source), clone), "open_tree")
        wish = _Attributes(_ATTR_IDMAP | _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV, 0, 0, namespace)
        size = ctypes.c_size_t(ctypes.sizeof(wish))
        empty = ctypes.c_char_p(b"")
        result = _libc.syscall(
            _MOUNT_SETATTR, tree, empty, _AT_EMPTY_PATH, ctypes.byref(wish), size
        )
        if result < 0:
            why = os.strerror(ctypes.get_errno())
            raise Refusal("kernel_lacks", feature="idmapped mounts", why=why)
        move = ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH)
        _check(
            _libc.syscall(_MOVE_MOUNT, tree, empty, _AT_FDCWD, os.fsencode(point), move),
            "move_mount",
        )
    finally:
        os.close(namespace)
        if tree >= 0:
            os.close(tree)


def ensure_overlay(lower: Path, disk: Path, point: Path, uid_base: int) -> None:
    """Lay the server's disk over the image; what the server writes goes to its disk."""
    if is_mounted(point):
        return
    point.mkdir(parents=True, exist_ok=True)
    upper, work = disk / "upper", disk / "work"
    for folder in (upper, work):
        folder.mkdir(mode=0o755, exist_ok=True)
        os.chown(folder, uid_base, uid_base)
    options = f"nosuid,nodev,lowerdir={lower},upperdir={upper},workdir={work}"
    run(["mount", "-t", "overlay", "overlay", "-o", options, str(point)])

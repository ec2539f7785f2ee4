"""What Python 3.11 has no name for: mounts, namespaces, capabilities, offloads of an interface."""

import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterable

LIBC = ctypes.CDLL(None, use_errno=True)

# linux/mount.h
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
# linux/sched.h
NEW_MOUNTS, NEW_IPC, NEW_PIDS = 0x00020000, 0x08000000, 0x20000000
# linux/prctl.h
_DEATH_SIGNAL, _BOUND_DROP, _SUBREAPER, _NO_NEW_PRIVILEGES = 1, 24, 36, 38
_CAPABILITIES = range(64)  # those that a kernel doesn't know are refused with EINVAL
# linux/capability.h: what root inside may do when a run commands something, as on other clouds:
# chown, dac_override, fowner, fsetid, kill, setgid, setuid, net_bind_service
OF_RUNS = frozenset({0, 1, 3, 4, 5, 6, 7, 10})
_SIOCETHTOOL, _STXCSUM = 0x8946, 0x17  # linux/sockios.h, linux/ethtool.h
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
POWER_OFF = 0x4321FEDC  # linux/reboot.h


def _check(result: int, what: str) -> None:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount, bind or change what is mounted. Raises OSError."""
    texts = (source.encode(), target.encode(), kind.encode() or None)
    _check(LIBC.mount(*texts, ctypes.c_ulong(flags), options.encode() or None), f"mount {target}")


def unshare(flags: int) -> None:
    """Give this process, or its children, namespaces of their own. Raises OSError."""
    _check(LIBC.unshare(flags), "unshare")


def enter(pid: int, flags: int) -> None:
    """Enter namespaces of another process; of processes only children do. Raises OSError."""
    handle = os.pidfd_open(pid)
    try:
        _check(LIBC.setns(handle, flags), "setns")
    finally:
        os.close(handle)


def _prctl(option: int, value: int) -> None:
    _check(LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0), "prctl")


def adopt_orphans() -> None:
    """Let what this process's children leave behind become its own. Raises OSError."""
    _prctl(_SUBREAPER, 1)


def end_with_parent(signal_number: int) -> None:
    """Have a signal sent to this process when its parent ends. Raises OSError."""
    _prctl(_DEATH_SIGNAL, signal_number)


def become(uid: int, gid: int, capabilities: Iterable[int] = ()) -> None:
    """Become a user that never gets more rights than these again. Raises OSError."""
    kept = frozenset(capabilities)
    for number in _CAPABILITIES:
        if number not in kept and LIBC.prctl(_BOUND_DROP, ctypes.c_ulong(number), 0, 0, 0) == -1:
            break  # the kernel's last one was the one before
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    _prctl(_NO_NEW_PRIVILEGES, 1)


def power_off() -> None:
    """Switch the machine off; in a container, end it. Raises OSError."""
    os.sync()
    _check(LIBC.reboot(POWER_OFF), "reboot")


def raise_interface(name: str) -> None:
    """Let an interface carry packets. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        wish = struct.pack("16sH14x", name.encode(), 0)
        [flags] = struct.unpack_from("H", fcntl.ioctl(handle, _SIOCGIFFLAGS, wish), 16)
        fcntl.ioctl(handle, _SIOCSIFFLAGS, struct.pack("16sH14x", name.encode(), flags | _IFF_UP))


def fill_in_checksums(name: str) -> None:
    """Compute checksums of what is sent here and not in an adapter. Raises OSError.

    A virtual switch in user space passes packets on as they are, and nobody on the way fills in
    what was left to an adapter: pings arrive then, and TCP hangs.
    """
    wish = (ctypes.c_uint32 * 2)(_STXCSUM, 0)
    request = struct.pack("16sP8x", name.encode(), ctypes.addressof(wish))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        try:
            fcntl.ioctl(handle, _SIOCETHTOOL, request)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:  # this adapter takes nothing that lacks them
                raise

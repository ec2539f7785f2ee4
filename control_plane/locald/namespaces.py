"""Doing something inside another network namespace, in a thread that dies there."""

import ctypes
import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_NS_GET_NSTYPE = 0xB703  # linux/nsfs.h
_libc = ctypes.CDLL(None, use_errno=True)
T = TypeVar("T")


def is_network_namespace(path: Path) -> bool:
    """Whether `path` is a handle on a network namespace, and not the empty file of a crash."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return fcntl.ioctl(handle, _NS_GET_NSTYPE) == _CLONE_NEWNET
    except OSError:
        return False
    finally:
        os.close(handle)


def run_inside(namespace: Path, work: Callable[[], T]) -> T:
    """Return `work()` as done inside the network namespace; what it raises is raised here.

    setns moves only the calling thread. This one ends afterwards, so nothing has to be restored
    and no later work can find itself in the wrong network.
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def enter() -> None:
        try:
            handle = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if _libc.setns(handle, _CLONE_NEWNET) != 0:
                    number = ctypes.get_errno()
                    raise OSError(number, os.strerror(number), str(namespace))
            finally:
                os.close(handle)
            results.append(work())
        except BaseException as failure:  # noqa: BLE001  # raised again in the caller's thread
            failures.append(failure)

    thread = threading.Thread(target=enter, name=f"inside {namespace.name}")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def write_sysctls(namespace: Path, wanted: dict[str, str]) -> list[str]:
    """Set what differs inside the namespace; return the names of what was changed."""

    def work() -> list[str]:
        return [name for name, value in wanted.items() if _write_sysctl(name, value)]

    return run_inside(namespace, work)


def list_wrong_sysctls(namespace: Path, wanted: dict[str, str]) -> list[str]:
    """Return the names of those that differ from `wanted`."""

    def work() -> list[str]:
        return [name for name, value in wanted.items() if _read_sysctl(name) not in {None, value}]

    return run_inside(namespace, work)


def _path(name: str) -> Path:
    return Path("/proc/sys") / name.replace(".", "/")


def _read_sysctl(name: str) -> str | None:
    try:
        return _path(name).read_text().strip()
    except FileNotFoundError:
        return None  # a kernel without IPv6 needs no switch to turn it off


def _write_sysctl(name: str, value: str) -> bool:
    if _read_sysctl(name) in {None, value}:
        return False
    _path(name).write_text(value)
    return True

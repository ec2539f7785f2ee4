"""Control groups in a server, as far as its cloud lets it have some: v2, or v1 with what is there.

A group holds all that a process ever started, whatever that did to get away.
"""

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_PERIOD_US = 100_000  # the kernel's own default
_MIB = 1 << 20
_EMPTY_S = 5.0
_STEP_S = 0.02
_V1_ANY = ("freezer", "pids", "memory")


def is_unified(root: Path = ROOT) -> bool:
    """Whether cgroup v2 alone is mounted."""
    return (root / "cgroup.controllers").is_file()


def _own(controller: str, root: Path) -> Path | None:
    """Return the folder in which this server may make groups for a controller."""
    if is_unified(root):
        return root if controller in (root / "cgroup.controllers").read_text().split() else None
    folder = root / controller
    # A group that is the machine's own and not this server's would show everybody's processes.
    return folder if (folder / "cgroup.procs").is_file() and os.access(folder, os.W_OK) else None


def find_any(root: Path = ROOT) -> Path | None:
    """Return where groups that only hold processes together can be made."""
    if is_unified(root):
        return root
    return next((found for name in _V1_ANY if (found := _own(name, root))), None)


def _values(limits: Mapping[str, int], *, unified: bool) -> dict[str, dict[str, str]]:
    memory, quota = str(limits["memory_mib"] * _MIB), limits["cpu_millis"] * _PERIOD_US // 1000
    pids = str(limits["pids"])
    if unified:
        return {
            "memory": {"memory.max": memory},
            "cpu": {"cpu.max": f"{quota} {_PERIOD_US}"},
            "pids": {"pids.max": pids},
        }
    return {
        "memory": {"memory.limit_in_bytes": memory},
        "cpu": {"cpu.cfs_period_us": str(_PERIOD_US), "cpu.cfs_quota_us": str(quota)},
        "pids": {"pids.max": pids},
    }


def join_limited(name: str, limits: Mapping[str, int], root: Path = ROOT) -> list[str]:
    """Put this process into a limited group; return the limits that can't be set here."""
    lacking = []
    for controller, files in _values(limits, unified=is_unified(root)).items():
        folder = _own(controller, root)
        try:
            if folder is None:
                raise FileNotFoundError(controller)
            if is_unified(root):
                (root / "cgroup.subtree_control").write_text(f"+{controller}")
            (folder / name).mkdir(exist_ok=True)
            for file, value in files.items():
                (folder / name / file).write_text(value)
            (folder / name / "cgroup.procs").write_text("0")
        except OSError:
            lacking.append(controller)
    return lacking


def _list(group: Path) -> list[int]:
    try:
        return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
    except FileNotFoundError:
        return []


def end(group: Path) -> bool:
    """Kill all that is in a group, and remove it; return whether it is empty."""
    deadline = time.monotonic() + _EMPTY_S
    while pids := _list(group):
        if time.monotonic() > deadline:
            return False
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_STEP_S)
    with contextlib.suppress(FileNotFoundError):
        group.rmdir()
    return True

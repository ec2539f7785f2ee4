"""Limits of a server as the kernel has them: cgroup v2, or v1 (also beside v2, "hybrid").

runc makes the groups and sets the limits; this module reads them back and clears what is left.
"""

import os
import signal
from pathlib import Path

from control_plane.locald.checks import Limits

ROOT = Path("/sys/fs/cgroup")
CPU_PERIOD_US = 100_000  # the kernel's own default
_V1 = ("memory", "cpu", "pids")
_MIB = 1 << 20


def is_unified(root: Path = ROOT) -> bool:
    """Whether cgroup v2 alone is mounted."""
    return (root / "cgroup.controllers").is_file()


def cpu_quota_us(limits: Limits) -> int:
    """Return the microseconds of each period in which a server may run."""
    return limits.cpu_millis * CPU_PERIOD_US // 1000


def may_limit_swap(root: Path = ROOT) -> bool:
    """Whether the kernel counts swap, so that a limit on memory is one on both."""
    return is_unified(root) or any(root.glob("memory/memory.memsw.limit_in_bytes"))


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


def list_wrong_limits(group: str, limits: Limits, root: Path = ROOT) -> list[str]:
    """Return which of `memory`, `cpu`, `pids` the kernel has otherwise than wished."""
    relative = group.lstrip("/")
    memory, pids = str(limits.memory_mib * _MIB), str(limits.pids)
    if is_unified(root):
        folder = root / relative
        found = {
            "memory": _read(folder / "memory.max") == memory,
            "cpu": _read(folder / "cpu.max") == f"{cpu_quota_us(limits)} {CPU_PERIOD_US}",
            "pids": _read(folder / "pids.max") == pids,
        }
    else:
        cpu = root / "cpu" / relative
        quota, period = _read(cpu / "cpu.cfs_quota_us"), _read(cpu / "cpu.cfs_period_us")
        found = {
            "memory": _read(root / "memory" / relative / "memory.limit_in_bytes") == memory,
            "cpu": (quota, period) == (str(cpu_quota_us(limits)), str(CPU_PERIOD_US)),
            "pids": _read(root / "pids" / relative / "pids.max") == pids,
        }
    return [name for name, is_right in found.items() if not is_right]


def _folders(group: str, root: Path) -> list[Path]:
    relative = group.strip("/")
    tops = [root] if is_unified(root) else [path for path in root.glob("*") if path.is_dir()]
    return [top / relative for top in tops if (top / relative).is_dir()]


def list_processes(group: str, root: Path = ROOT) -> set[int]:
    """Return the ids of all processes in a group and below it."""
    found: set[int] = set()
    for folder in _folders(group, root):
        for path in folder.rglob("cgroup.procs"):
            found.update(int(pid) for pid in _read(path).split())
    return found


def kill_processes(group: str, root: Path = ROOT) -> None:
    """Kill whatever still runs in a group."""
    for pid in list_processes(group, root):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # it ended by itself


def remove(group: str, root: Path = ROOT) -> bool:
    """Remove a group and those below it; False while a process is still dying in it."""
    for folder in _folders(group, root):
        inner = sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True)
        for path in (*inner, folder):
            try:
                path.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return False
    return True

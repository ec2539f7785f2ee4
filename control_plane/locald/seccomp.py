"""The allow-list of system calls, from the one that the distribution maintains for containers.

`/usr/share/containers/seccomp.json` is a template: its entries depend on architecture and
capabilities. It also allows what lets containers make containers; no server of ours needs that,
and it is where kernels are broken into, so it is taken out again.
"""

import json
import platform
from collections.abc import Collection
from pathlib import Path
from typing import Any

TEMPLATE = Path("/usr/share/containers/seccomp.json")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "s390x": "s390x", "ppc64le": "ppc64le"}
_OCI_NAMES = {"amd64": "SCMP_ARCH_X86_64", "arm64": "SCMP_ARCH_AARCH64", "s390x": "SCMP_ARCH_S390X"}
_ENOSYS, _EPERM = 38, 1
_NEW_USER = 0x10000000  # CLONE_NEWUSER
_FILE_TYPE, _FIFO = 0o170000, 0o010000  # S_IFMT, S_IFIFO
# fmt: off
REMOVED = frozenset((
    "acct", "add_key", "bpf", "clone", "clone3", "fsconfig", "fsmount", "fsopen", "fspick",
    "io_uring_enter", "io_uring_register", "io_uring_setup", "keyctl", "kcmp", "mbind", "mknod",
    "mknodat", "mount", "mount_setattr", "move_mount", "move_pages", "name_to_handle_at",
    "open_by_handle_at", "open_tree", "perf_event_open", "pivot_root", "process_vm_readv",
    "process_vm_writev", "ptrace", "reboot", "request_key", "setns", "swapoff", "swapon", "syslog",
    "umount", "umount2", "unshare", "userfaultfd",
))
# fmt: on


def _applies(rule: dict[str, Any], architecture: str, capabilities: Collection[str]) -> bool:
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    wanted = includes.get("arches")
    return not (
        (wanted and architecture not in wanted)
        or architecture in (excludes.get("arches") or ())
        or not set(includes.get("caps") or ()) <= set(capabilities)
        or set(excludes.get("caps") or ()) & set(capabilities)
    )


def convert(
    template: dict[str, Any], architecture: str, capabilities: Collection[str]
) -> dict[str, Any]:
    """Return the OCI form of the template for one architecture and set of capabilities."""
    calls = []
    for rule in template["syscalls"]:
        names = sorted(set(rule["names"]) - REMOVED)
        if not names or not _applies(rule, architecture, capabilities):
            continue
        call = {"names": names, "action": rule["action"]}
        if rule.get("args"):
            call["args"] = rule["args"]
        if rule.get("errnoRet") is not None:
            call["errnoRet"] = rule["errnoRet"]
        calls.append(call)
    calls += [_clone_without_user_namespace(), _refuse(["clone3"], _ENOSYS)]
    calls += [_mknod_of_fifos("mknod", 1), _mknod_of_fifos("mknodat", 2)]
    calls.append(_refuse(sorted(REMOVED - {"clone", "clone3", "mknod", "mknodat"}), _EPERM))
    name = _OCI_NAMES.get(architecture)
    subs = [
        a.get("subArchitectures") or [] for a in template["archMap"] if a["architecture"] == name
    ]
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": _ENOSYS,
        "architectures": [name, *(subs[0] if subs else [])] if name else [],
        "syscalls": calls,
    }


def _clone_without_user_namespace() -> dict[str, Any]:
    flags = {"index": 0, "value": _NEW_USER, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    return {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [flags]}


def _mknod_of_fifos(name: str, mode: int) -> dict[str, Any]:
    """Supervisors are commanded through named pipes; nothing else is made in this way."""
    wish = {"index": mode, "value": _FILE_TYPE, "valueTwo": _FIFO, "op": "SCMP_CMP_MASKED_EQ"}
    return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": [wish]}


def _refuse(names: list[str], errno: int) -> dict[str, Any]:
    return {"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": errno}


def load(capabilities: Collection[str], path: Path = TEMPLATE) -> dict[str, Any]:
    """Return this machine's profile. Raises FileNotFoundError without the distribution's list."""
    architecture = ARCHITECTURES.get(platform.machine(), platform.machine())
    return convert(json.loads(path.read_text()), architecture, capabilities)

"""What an installation leaves on a machine while it stands: so that a test can see it is gone."""

import grp
import json
import pwd
import subprocess
from pathlib import Path


def list_processes(instance: str) -> list[str]:
    """Return the command lines of processes that name the instance or run as one of its users."""
    uids = {user.pw_uid for user in pwd.getpwall() if user.pw_name.startswith(f"{instance}-")}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            is_ours = process.stat().st_uid in uids
        except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
            continue
        paths = (f"/opt/{instance}/", f"/etc/{instance}/", f"/run/{instance}/")
        if is_ours or any(path in command for path in paths):
            found.append(f"{process.name} {command}")
    return found


def list_commands(part: str) -> list[str]:
    """Return the processes that have this in their command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
            continue
        if part in command:
            found.append(f"{process.name} {command}")
    return found


def list_mounts(instance: str) -> list[str]:
    """Return what is mounted below the directories of the instance, and its namespaces' handles."""
    marks = (f"/{instance}/", f"/netns/{instance}-")
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if any(mark in f"{line} " for mark in marks)]


def list_namespaces(instance: str) -> list[str]:
    """Return the named network namespaces of the instance."""
    return [str(p) for p in Path("/run/netns").glob(f"{instance}*")]


def list_rules(instance: str) -> list[str]:
    """Return the packet filter's tables of the instance in the host's own namespace."""
    done = subprocess.run(["nft", "-j", "list", "tables"], capture_output=True, check=True)
    tables = [row["table"]["name"] for row in json.loads(done.stdout)["nftables"] if "table" in row]
    return [name for name in tables if instance in name]


def list_cgroups(instance: str) -> list[str]:
    """Return the control groups of the instance, in whichever hierarchies there are."""
    done = subprocess.run(
        ["find", "/sys/fs/cgroup", "-type", "d", "-path", f"*/{instance}*"],
        capture_output=True,
        text=True,
        check=False,  # a group of somebody else may go away while it looks
    )
    return done.stdout.splitlines()


def list_loop_devices(instance: str) -> list[str]:
    """Return the loop devices whose file belongs to the instance."""
    done = subprocess.run(
        ["losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [line for line in done.stdout.splitlines() if f"/{instance}/" in line]


def list_accounts(instance: str) -> list[str]:
    """Return the users and groups of the instance."""
    names = [*(u.pw_name for u in pwd.getpwall()), *(g.gr_name for g in grp.getgrall())]
    return [name for name in names if name == instance or name.startswith(f"{instance}-")]


def list_files(instance: str) -> list[str]:
    """Return the files and directories of the instance, and lines about it in /etc/hosts."""
    places = [
        *(Path(root) / instance for root in ("/opt", "/etc", "/run", "/var/lib", "/var/cache")),
        Path("/var/log") / instance,
        Path("/usr/local/bin") / instance,
        Path("/etc/tmpfiles.d") / f"{instance}.conf",
        Path("/etc/systemd/system") / f"{instance}.service",
    ]
    hosts = [line for line in Path("/etc/hosts").read_text().splitlines() if instance in line]
    return [str(place) for place in places if place.is_symlink() or place.exists()] + hosts


def list_running(instance: str) -> list[str]:
    """Return all that `make down` has to stop."""
    looks = (
        list_processes,
        list_mounts,
        list_namespaces,
        list_rules,
        list_cgroups,
        list_loop_devices,
    )
    return [trace for look in looks for trace in look(instance)]


def list_all(instance: str) -> list[str]:
    """Return everything that `make clean` has to remove."""
    looks = (list_running, list_accounts, list_files)
    return [trace for look in looks for trace in look(instance)]

#!/usr/bin/python3 -IS
"""Look at what was configured in this server: one digest of it, and which services don't run.

The answer is a line of JSON. A file that this user can't read counts by its size and its time.
"""

import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# What plays write; all else is the image's, and the same in each server that was made from it.
CONFIGURED = Path("/etc/hosting")
SERVICES = Path("/usr/lib/edubba/services")
DECLARED = Path("/etc/hosting/services.json")


def _files() -> Iterator[Path]:
    for folder, folders, names in os.walk(CONFIGURED):
        folders.sort()
        yield from (Path(folder) / name for name in sorted([*folders, *names]))


def _told(path: Path) -> str:
    """Return what is to be the same of a file tomorrow."""
    about = path.lstat()
    owned = f"{path} {about.st_mode:o} {about.st_uid} {about.st_gid}"
    if stat.S_ISLNK(about.st_mode):
        return f"{owned} {path.readlink()}"
    if not stat.S_ISREG(about.st_mode):
        return owned
    try:
        return f"{owned} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    except PermissionError:
        return f"{owned} {about.st_size} {about.st_mtime_ns}"


def digest() -> str:
    """Return one digest of all that was configured."""
    found = hashlib.sha256()
    for path in _files():
        found.update(f"{_told(path)}\n".encode(errors="surrogateescape"))
    return found.hexdigest()


def list_down() -> list[str]:
    """Return the services that should run always and don't."""
    if not SERVICES.exists() or not DECLARED.exists():
        return []
    declared = json.loads(DECLARED.read_text())
    said = subprocess.run([str(SERVICES), "state"], check=True, capture_output=True)
    states = json.loads(said.stdout)
    always = [name for name, one in declared.items() if one["starts"] == "always"]
    return sorted(name for name in always if not states.get(name, {}).get("up"))


if __name__ == "__main__":
    print(json.dumps({"digest": digest(), "down": list_down()}))
    sys.exit(0)

"""Where the product's data files lie: beside the package in a checkout, else under the prefix."""

import hashlib
import sys
from functools import cache
from pathlib import Path


@cache
def tenants_dir() -> Path:
    """Return the folder with blueprints, policies and examples."""
    return _find("tenants")


@cache
def playbooks_dir() -> Path:
    """Return the folder with the playbooks of hostings and their roles."""
    return _find("playbooks")


def installed_plays() -> list[str]:
    """Return the names of the playbooks that configure hostings."""
    return sorted(path.stem for path in playbooks_dir().glob("hosting_*.yml"))


@cache
def play_digest(name: str) -> str | None:
    """Return the digest of a playbook with all roles and plugins; None where there is none.

    A newer product is a newer digest: what was configured by an older one is configured anew.
    """
    folder = playbooks_dir()
    playbook = folder / f"{name}.yml"
    if not playbook.is_file():
        return None
    found = hashlib.sha256()
    parts = [
        playbook,
        *sorted((folder / "roles").rglob("*")),
        *sorted(folder.glob("*plugins/**/*")),
    ]
    for path in parts:
        if path.is_file() and path.suffix != ".pyc":
            found.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return found.hexdigest()


def _find(name: str) -> Path:
    beside = Path(__file__).resolve().parents[2] / name
    return beside if beside.is_dir() else Path(sys.prefix) / "share" / "edubba" / name

"""Where the product's data files lie: beside the package in a checkout, else under the prefix."""

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


def _find(name: str) -> Path:
    beside = Path(__file__).resolve().parents[2] / name
    return beside if beside.is_dir() else Path(sys.prefix) / "share" / "edubba" / name

"""The installation that this program is a part of: its name, its settings, and its database's user.

The database belongs to the worker's user. What root does to it is done as that user, in a process
of its own: files that root made there, the platform could not write.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from control_plane.cli.exits import Code, Stop
from control_plane.cli.terminal import tr
from control_plane.settings import Settings

CONFIG_ROOT = Path("/etc")
PREFIX_ROOT = Path("/opt")
DEFAULT_INSTANCE = "edubba"
GROUP_WRITES = 0o007  # as the processes: the web process shares the files of SQLite


def instance_of(environment: Mapping[str, str] = os.environ, prefix: str = sys.prefix) -> str:
    """Return the installation's name: as said, else by where this program lies."""
    own = Path(prefix)
    is_installed = own.name == "venv" and own.parent.parent == PREFIX_ROOT
    return environment.get("EDUBBA_INSTANCE") or (
        own.parent.name if is_installed else DEFAULT_INSTANCE
    )


def environment_of(config: Path) -> dict[str, str]:
    """Return what the installer wrote for the worker, read as the shell reads it.

    Raises: FileNotFoundError, PermissionError.
    """
    lines = (config / "worker.env").read_text(encoding="utf-8").splitlines()
    told = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return {name: "".join(shlex.split(value)) for name, value in told}


def find_settings() -> Settings:
    """Return the installation's settings as far as this user may read them; variables win."""
    try:
        told = environment_of(CONFIG_ROOT / instance_of())
    except OSError:
        return Settings()
    known = {
        name.removeprefix("EDUBBA_").lower(): value
        for name, value in told.items()
        if name not in os.environ
    }
    return Settings.model_validate(known)  # it reads the variables itself


def is_others_database() -> bool:
    """Whether the database belongs to an installed worker, and not to who runs this."""
    return "EDUBBA_DATABASE_URL" not in os.environ and (CONFIG_ROOT / instance_of()).is_dir()


def run_as_worker(arguments: Sequence[str], stdin: str | None = None) -> int:
    """Run `python -I -m …` as the database's user; return its exit code. Raises: Stop if not root.

    `stdin` None: the terminal's own.
    """
    instance = instance_of()
    try:
        told = environment_of(CONFIG_ROOT / instance)
    except PermissionError as error:
        raise _needs_root() from error
    if os.geteuid() != 0:
        raise _needs_root()
    passed = {name: os.environ[name] for name in ("PATH", "TERM") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-I", "-m", *arguments],
        env={**passed, **told, "EDUBBA_DATABASE_URL": _database_url(told), "HOME": "/nonexistent"},
        user=f"{instance}-worker",
        group=f"{instance}-worker",
        extra_groups=[instance],
        umask=GROUP_WRITES,
        input=stdin,
        text=True,
        cwd="/",
        check=False,
    )
    return done.returncode


def _database_url(told: Mapping[str, str]) -> str:
    known = {name.removeprefix("EDUBBA_").lower(): value for name, value in told.items()}
    return Settings.model_validate(known).database_url.get_secret_value()


def _needs_root() -> Stop:
    return Stop(
        Code.FORBIDDEN,
        "root_needed",
        tr("This is done by root, on the machine itself"),
        tr("Run the same with sudo."),
    )

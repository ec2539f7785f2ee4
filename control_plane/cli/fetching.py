"""pip fetches wheels, and nothing but wheels: no code of a package runs on this machine."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.text import Text

from control_plane.cli import as_target
from control_plane.cli.requirements import Asked
from control_plane.cli.target import Target
from control_plane.cli.terminal import err, note, tr
from control_plane.cli.unfetched import explain

_FETCHED = re.compile(r"\s*(?:Downloading|Using cached|Processing) (?P<file>\S+)")
_OPTIONS = (
    "--only-binary=:all:",
    "--no-input",
    "--progress-bar=off",
    "--disable-pip-version-check",
)


def fetch(asked: Asked, target: Target, into: Path, own: Path | None) -> None:
    """Fetch what is asked for into an empty folder; wheels in `own` count as published.

    Raises: Stop.
    """
    file = asked.file
    if asked.text is not None:
        file = into / ".requirements.txt"
        file.write_text(asked.text, encoding="utf-8")
    log = into / ".log"
    command = [sys.executable, "-I", as_target.__file__, json.dumps(target.facts), "download"]
    command += [*_OPTIONS, *target.options, f"--log={log}", f"--dest={into}"]
    command += ["--no-deps"] if asked.is_complete else []
    command += [f"--find-links={own}"] if own else []
    if (errors := _run([*command, "-r", str(file)], into / ".errors")) is not None:
        told = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
        raise explain(told, errors, target)


def _run(command: list[str], errors: Path) -> str | None:
    """Run pip and tell of each file; return what it said on standard error if it failed."""
    with (
        errors.open("wb") as sink,
        _progress() as tell,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=sink
        ) as pip,
    ):
        for line in pip.stdout or ():
            if match := _FETCHED.match(line.decode(errors="replace")):
                tell(match["file"].rpartition("/")[2])
    return errors.read_text(encoding="utf-8", errors="replace") if pip.returncode else None


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    console = err()
    if not console.is_terminal:
        yield lambda file: note(tr("Fetching {file}", file=file))
        return
    with console.status("") as status:
        yield lambda file: status.update(Text(tr("Fetching {file}", file=file)))

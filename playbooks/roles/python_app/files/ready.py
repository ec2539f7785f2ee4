#!/usr/bin/python3 -IS
"""Get a release of a Python application ready: `app ID`, as the user that will serve it.

Its packages get an environment of their own, from the wheels that it carries and from nothing
else. Then it is imported, its commands run, and its migration, once. Whatever it says in between is
for its owner; whatever it leaves running is ended.
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OWN = Path("/srv/app")
SERVER = Path("/usr/lib/edubba/server")  # gunicorn and what it needs, after a release's own
COMMANDS_S = 300.0
POLL_S = 0.1
SHOWN = 3000  # bytes of what a release said
IMPORT = (
    "import sys; sys.path.insert(0, '');"
    "from gunicorn.util import import_app; import_app(sys.argv[1])"
)


class Failure(Exception):
    """A release that can't go live; the text is for its owner."""


@dataclass(frozen=True, slots=True)
class Release:
    """What `app facts` says of a deployment."""

    deployment: str
    is_application: bool
    tree: Path
    environment: Path
    variables: dict[str, str]
    most_processes: int
    about: dict[str, Any]

    @classmethod
    def of(cls, deployment: str) -> "Release":
        """Ask for it."""
        said = subprocess.run(
            ["/usr/lib/edubba/app", "facts", deployment], check=True, capture_output=True
        )
        known = json.loads(said.stdout)
        known |= {name: Path(known[name]) for name in ("tree", "environment")}
        return cls(deployment, **known)

    @property
    def wheels(self) -> Path:
        """The list of the packages that the release carries."""
        return self.tree / "wheels" / "requirements.txt"


def prepare(release: Release) -> None:
    """Get a release ready as far as that is possible before it runs. Raises: Failure."""
    about = release.about
    own = OWN / "releases" / release.deployment
    own.mkdir(exist_ok=True)
    # What is declared later is for later releases: this one stays what was checked.
    (own / "about.json").write_text(json.dumps(about))
    ensure_environment(release)
    lay_out_generated(release)
    argv = ["python", "-c", IMPORT, about["application"]]
    do(release, f"Importing {about['application']}", argv, float(about["start_timeout_s"]))
    for command in about["release_commands"]:
        do(release, command, ["/bin/sh", "-c", command], COMMANDS_S)
    done = own / "migrated"
    if about["migrate"] and not done.is_file():
        argv = ["/bin/sh", "-c", about["migrate"]]
        do(release, about["migrate"], argv, float(about["migrate_timeout_s"]))
        done.touch()


def ensure_environment(release: Release) -> None:
    """Install the release's wheels, if no release with the same ones is here."""
    place, wheels = release.environment, release.wheels
    if not wheels.is_file() and (release.tree / "requirements.txt").is_file():
        raise Failure(
            "The release names packages in requirements.txt and carries none, and a server can't"
            " fetch any. `edubba deploy` adds them."
        )
    if (place / "complete").is_file():
        return
    shutil.rmtree(place, ignore_errors=True)
    argv = ["/usr/bin/python3", "-m", "venv", "--without-pip", "--symlinks", str(place)]
    do(release, "Making an environment", argv, COMMANDS_S, Path("/"))
    [packages] = place.glob("lib/python3.*/site-packages")
    (packages / "edubba-server.pth").write_text(f"{SERVER}\n")
    if wheels.is_file():
        argv = ["python", "-m", "pip", "install", "--no-index", f"--find-links={wheels.parent}"]
        argv += ["--require-hashes", "--no-deps", "--no-compile", "--no-cache-dir", "--quiet"]
        argv += ["--disable-pip-version-check", "--requirement", str(wheels)]
        do(release, "Installing the release's wheels", argv, COMMANDS_S, Path("/"))
    (place / "complete").touch()


def lay_out_generated(release: Release) -> None:
    """Make the places that the release's commands write to, with what the release has for them."""
    for path in release.about["generated_paths"]:
        target = OWN / "generated" / release.deployment / path
        seed = release.tree.with_name("seed") / path
        if target.exists():
            continue
        if seed.is_dir():
            shutil.copytree(seed, target, copy_function=shutil.copyfile)
        else:
            target.mkdir(parents=True)


def do(
    release: Release, what: str, argv: list[str], timeout_s: float, directory: Path | None = None
) -> None:
    """Run a command of the release to its end, or to its deadline. Raises: Failure."""
    place = directory or release.tree / release.about["directory"]
    if not place.is_dir():
        raise Failure(f"The release has no folder {release.about['directory']}")
    limited = ["/usr/bin/prlimit", f"--nproc={release.most_processes}", *argv]
    code, output = run(limited, place, release.variables, timeout_s)
    if code == 0:
        return
    why = f"ended with status {code}"
    if code is None:
        why = f"was not done after {timeout_s:.0f} s and was ended"
    elif code == -signal.SIGKILL:
        why = "was killed, as happens to what uses more memory than its size has"
    raise Failure(f"{output}\n{what}: {why}.".strip())


def run(
    argv: Sequence[str], directory: Path, variables: dict[str, str], timeout_s: float
) -> tuple[int | None, str]:
    """Return how a command ended, None if it had to be ended, and the end of what it said."""
    kept = b""
    with subprocess.Popen(
        argv,
        cwd=directory,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        for piece in _pieces(process, time.monotonic() + timeout_s):
            kept = (kept + piece)[-SHOWN:]
        code = process.poll()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    end_orphans()
    return code, kept.decode(errors="replace")


def _pieces(process: "subprocess.Popen[bytes]", end: float) -> Iterator[bytes]:
    """Give what a command says, until it ends or its time has come."""
    waiting = [process.stdout] if process.stdout else []
    while time.monotonic() < end:
        is_over = process.poll() is not None
        if not waiting and not is_over:
            time.sleep(POLL_S)  # it closed its output and works on
        elif select.select(waiting, [], [], POLL_S)[0]:
            piece = os.read(waiting[0].fileno(), 1 << 16)
            waiting = waiting if piece else []
            yield piece
        elif is_over:
            return


def end_orphans() -> None:
    """End what a command left running, also what left its process group."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    end = time.monotonic() + 5
    while (found := children.read_text().split()) and time.monotonic() < end:
        for child in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def main() -> int:
    """Get the named deployment ready; say why it can't be."""
    os.umask(0o022)
    release = Release.of(sys.argv[1])
    if not release.is_application:
        return 0
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: what a command left behind is ours
    try:
        prepare(release)
    except Failure as failure:
        print(failure)
        return 1
    except OSError as error:
        print(f"The release could not be prepared: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

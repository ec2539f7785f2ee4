#!/usr/bin/python3 -IS
"""Start releases of a Python application, hand over to them and clear them away.

Two services are slots, in which a release's server runs: the live one in one of them, and what is
checked in the other. nginx finds a release's socket by the release that its own link names, so that
one rename switches static files and the application together. Called by names of links to it:

    hooks/serve ID          start it in the slot that is free; status 75 is "not yet"  (receiver)
    hooks/refused ID        end it again and show what it said                         (receiver)
    hooks/switched, pruned  have `settle` run                                          (receiver)
    app run SLOT            become what a slot runs: a release's server, or a sleep    (`app`)
    app settle              let what is live grow, end what was, clear away            (`app`)
    app facts ID            where a deployment and its environment lie, as JSON
"""

import contextlib
import fcntl
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SITE, OWN, RUN = Path("/srv/site"), Path("/srv/app"), Path("/run/app")
ABOUT = Path("/etc/hosting/python.json")
SLOTS, SETTLE = SITE / "asked" / "slots.json", SITE / "asked" / "settle"
SCAN, LOGS = Path("/run/services"), Path("/srv/log")
NAMES = ("app-a", "app-b")
SERVER = Path("/usr/lib/edubba/server")  # gunicorn and what it needs, after a release's own
PLACEHOLDER = ".placeholder"  # a release with this file is a page and no application
NOT_YET = 75  # EX_TEMPFAIL, sysexits.h
WAIT_S, POLL_S = 2.0, 0.1  # then the caller, who has others to look after, asks again
SILENT_S = 0.3  # a log to which nothing is added for so long is whole
LAST_WORDS_S = 5.0  # one that is written on and on is not waited for
QUIET_S = 60.0  # how long requests may take to end after another release is live
ENDING_S = 40.0  # gunicorn.conf.py: graceful_timeout, and some more
SHOWN = 3000  # bytes of what a release said
SPARE = 24  # processes that what else this server runs can always have
OOM_LIVE, OOM_CANDIDATE = 500, 1000  # oom_score_adj, proc(5); what is tried goes first


def about(deployment: str | None = None) -> dict[str, Any]:
    """Return how the application is declared now, or was when a deployment was prepared."""
    kept = OWN / "releases" / str(deployment) / "about.json"
    found: dict[str, Any] = json.loads((kept if kept.is_file() else ABOUT).read_text())
    return found


def pointed(link: str) -> str | None:
    """Return the deployment that is live, or that is staged."""
    try:
        return (SITE / link).readlink().name
    except FileNotFoundError:
        return None


def tree_of(deployment: str) -> Path:
    """Where a deployment's files lie."""
    return SITE / "deployments" / deployment / "tree"


def environment_of(deployment: str) -> Path:
    """Where a deployment's packages lie; deployments with the same ones share them."""
    wheels = tree_of(deployment) / "wheels" / "requirements.txt"
    content = wheels.read_bytes() if wheels.is_file() else b""
    return OWN / "envs" / hashlib.sha256(content).hexdigest()[:24]


def is_application(deployment: str | None) -> bool:
    """Whether there is something to run."""
    if deployment is None or not tree_of(deployment).is_dir():
        return False
    return not (tree_of(deployment) / PLACEHOLDER).is_file()


def variables(deployment: str) -> dict[str, str]:
    """Return the environment of a deployment's programs."""
    place = environment_of(deployment)
    path = f"{place}/bin:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "VIRTUAL_ENV": str(place), "PYTHONUNBUFFERED": "1"}


def facts(deployment: str) -> dict[str, Any]:
    """Return what there is to know for getting a deployment ready."""
    return {
        "is_application": is_application(deployment),
        "tree": str(tree_of(deployment)),
        "environment": str(environment_of(deployment)),
        "variables": variables(deployment),
        "most_processes": most_processes(is_live=False),
        "about": about(deployment),
    }


def most_processes(*, is_live: bool) -> int:
    """Return how many processes and threads a release may make this server have.

    The kernel counts all of one user, and asks each process for its own limit: what is tried must
    find its limit while what is live can still have every worker and thread that it may want.
    """
    own = about()
    most = max(int(own["pids"]) - SPARE, SPARE)
    return most if is_live else most - int(own["workers"]) * (1 + int(own["threads"])) - 1


def read_slots() -> dict[str, dict[str, Any]]:
    """Return which deployment each slot is for, and since when."""
    try:
        found: dict[str, dict[str, Any]] = json.loads(SLOTS.read_text())
    except FileNotFoundError:
        return {}
    return found


def _write(path: Path, content: str) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_text(content)
    new.rename(path)


def _control(name: str, option: str) -> None:
    subprocess.run(["s6-svc", option, str(SCAN / name)], check=True)


# Running


def run(name: str) -> None:
    """Become the server of the release that this slot is for, if that is wanted."""
    deployment = read_slots().get(name, {}).get("deployment")
    RUN.mkdir(exist_ok=True)
    wanted = deployment in {pointed("live"), pointed("staged")}
    if deployment is None or not wanted or not is_application(deployment):
        os.execv("/usr/bin/sleep", ["sleep", "infinity"])
    if deployment == pointed("live"):
        _link_live(deployment)
    state = RUN / f"{name}.json"
    before = json.loads(state.read_text()) if state.is_file() else {}
    starts = before.get("starts", 0) if before.get("deployment") == deployment else 0
    _write(state, json.dumps({"deployment": deployment, "starts": starts + 1, "at": time.time()}))
    (RUN / f"{deployment}.ready").unlink(missing_ok=True)
    (RUN / f"{deployment}.grown").unlink(missing_ok=True)
    print(_header(deployment), flush=True)
    _give_way(is_live=deployment == pointed("live"))
    environment = {**variables(deployment), "EDUBBA_DEPLOYMENT": deployment}
    argv = ["python", "-m", "gunicorn", "--config", "/usr/lib/edubba/gunicorn.conf.py"]
    os.execvpe(str(environment_of(deployment) / "bin" / "python"), argv, environment)


def _give_way(*, is_live: bool, pid: int = 0) -> None:
    """Say how much of this server a process may take, and whose turn it is when memory ends."""
    most = most_processes(is_live=True)
    soft = most_processes(is_live=is_live)
    resource.prlimit(pid, resource.RLIMIT_NPROC, (soft, most))
    score = OOM_LIVE if is_live else OOM_CANDIDATE
    Path(f"/proc/{pid or 'self'}/oom_score_adj").write_text(str(score))


def _header(deployment: str) -> str:
    return f"{deployment} is started"


def _link_live(deployment: str) -> None:
    new = OWN / ".live.new"
    new.unlink(missing_ok=True)
    new.symlink_to(environment_of(deployment))
    new.rename(OWN / "live")


def serve(deployment: str) -> int:
    """Have a deployment run beside the live one; say whether it does, or why not."""
    if not is_application(deployment):
        return 0
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        name = _slot_of(deployment) or _take_slot(deployment)
        if name is not None:
            if (RUN / f"{deployment}.ready").exists():
                return 0
            if why := _why_not(name, deployment):
                print(why)
                return 1
        time.sleep(POLL_S)
    return NOT_YET


def _slot_of(deployment: str | None) -> str | None:
    slots = read_slots().items()
    return next((name for name, slot in slots if slot["deployment"] == deployment), None)


def _take_slot(deployment: str) -> str | None:
    """Give a deployment the slot that is not the live one's; None while that is not free yet."""
    if _is_up("settle"):
        return None
    taken = _slot_of(pointed("live"))
    name = next(name for name in NAMES if name != taken)
    slot = {"deployment": deployment, "since": time.time()}
    _write(SLOTS, json.dumps({**read_slots(), name: slot}))
    _control(name, "-t")
    return name


def _why_not(name: str, deployment: str) -> str | None:
    """Return why a deployment will not run, if that is known by now."""
    state = RUN / f"{name}.json"
    known = json.loads(state.read_text()) if state.is_file() else {}
    is_started = known.get("deployment") == deployment
    if is_started and known["starts"] > 1:
        return "The release ended by itself as soon as it was started."
    # Before it is started, what was in the slot has to end.
    since = known["at"] if is_started else read_slots()[name]["since"] + ENDING_S
    timeout_s = float(about(deployment)["start_timeout_s"])
    if time.time() - since > timeout_s:
        return f"The release was not ready {timeout_s:.0f} s after it was started."
    return None


def _is_up(name: str) -> bool:
    argv = ["s6-svstat", "-o", "up", str(SCAN / name)]
    return subprocess.run(argv, check=True, capture_output=True).stdout.strip() == b"true"


def refused(deployment: str) -> int:
    """Show what a deployment said, and end it."""
    name = _slot_of(deployment)
    if name is None:
        return 0
    said = _last_words(name)
    print(
        said[max(said.rfind(_header(deployment).encode()), 0) :][-SHOWN:].decode(errors="replace")
    )
    if deployment != pointed("live"):
        slots = read_slots()
        del slots[name]
        _write(SLOTS, json.dumps(slots))
        _control(name, "-t")
    return 0


def _last_words(name: str) -> bytes:
    """Read what a server said, once that is all: of a worker that ended tells who reaps it."""
    log, said = LOGS / name / "current", b""
    end = time.monotonic() + LAST_WORDS_S
    while time.monotonic() < end and (_has_ended_ones(name) or log.read_bytes() != said):
        said = log.read_bytes()
        time.sleep(SILENT_S)
    return log.read_bytes()


def _has_ended_ones(name: str) -> bool:
    """Whether a worker of a server ended and was not reaped yet."""
    return any(state == "Z" for state in _descendants(_pid_of(name)).values())


# Handing over


@contextlib.contextmanager
def _wishing() -> Iterator[None]:
    """Hold what says that something is to be settled: asking and ending go one after another."""
    folder = os.open(SETTLE.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def follow(_deployment: str) -> int:
    """Have `settle` do what follows a switch or a pruning."""
    with _wishing():
        SETTLE.touch()
        _control("settle", "-u")
    return 0


def settle() -> int:
    """Do what follows, again as long as it is asked for; one that fails is started anew."""
    done = None
    while (asked := _wish(done)) is not None:
        done = asked
        live = pointed("live")
        name = _slot_of(live)
        if live is not None and name is not None and is_application(live):
            _link_live(live)
            _grow(name, live)
        for other, slot in read_slots().items():
            if slot["deployment"] not in {live, pointed("staged")}:
                _end(other, slot["deployment"])
        _clear_away()
    return 0


def _wish(done: int | None) -> int | None:
    """Return when it was asked for last; None, and want to be down, if all of that is done.

    The supervisor takes commands one by one: who asks while this process ends has it started anew.
    """
    with _wishing():
        asked = SETTLE.stat().st_mtime_ns if SETTLE.exists() else None
        if asked == done:
            _control("settle", "-d")
            return None
        return asked


def _grow(name: str, deployment: str) -> None:
    """Give what became live its other workers."""
    if (RUN / f"{deployment}.grown").exists():
        return
    (RUN / f"{deployment}.grown").touch()
    server = _pid_of(name)
    _give_way(is_live=True, pid=server)  # first: what it starts from now on inherits
    for pid in _descendants(server):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            _give_way(is_live=True, pid=pid)
    for _ in range(int(about()["workers"]) - 1):
        os.kill(server, signal.SIGTTIN)
        time.sleep(POLL_S)  # signals of a kind that are pending together are one


def _pid_of(name: str) -> int:
    argv = ["s6-svstat", "-o", "pid", str(SCAN / name)]
    return int(subprocess.run(argv, check=True, capture_output=True).stdout)


def _descendants(pid: int) -> dict[int, str]:
    """Return the processes below a process, each with its state as in proc(5)."""
    parents: dict[int, int] = {}
    states: dict[int, str] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = status.read_text().rpartition(")")[2].split()
            one = int(status.parent.name)
            states[one], parents[one] = fields[0], int(fields[1])
    found, above = set[int](), {pid}
    while above:
        above = {child for child, parent in parents.items() if parent in above} - found
        found |= above
    return {one: states[one] for one in found}


def _end(name: str, deployment: str) -> None:
    """End a server once nobody is connected to it: what has not been accepted would be lost."""
    socket = RUN / f"{deployment}.sock"
    if not socket.exists():
        return
    _wait(lambda: _connections(socket) == 0, QUIET_S)
    _control(name, "-t")
    _wait(lambda: not socket.exists(), ENDING_S)


def _connections(socket: Path) -> int:
    lines = Path("/proc/net/unix").read_text().splitlines()
    return sum(line.endswith(f" {socket}") for line in lines) - 1  # the one that listens


def _wait(is_so: Callable[[], bool], timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while not is_so() and time.monotonic() < end:
        time.sleep(POLL_S)


def _clear_away() -> None:
    """Remove what belonged to deployments that are gone."""
    kept = {path.name for path in (SITE / "deployments").iterdir()}
    needed = {environment_of(name).name for name in kept if tree_of(name).is_dir()}
    for folder, names in (("envs", needed), ("generated", kept), ("releases", kept)):
        for path in (OWN / folder).iterdir():
            if path.name not in names:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def main() -> int:
    """Do what the name or the first argument says."""
    os.umask(0o022)
    folder, called = Path(sys.argv[0]).parent.name, Path(sys.argv[0]).name
    hooks = {"serve": serve, "refused": refused, "switched": follow, "pruned": follow}
    if folder == "hooks":
        return hooks[called](sys.argv[1])
    verb = sys.argv[1]
    if verb == "run":
        run(sys.argv[2])
    if verb == "facts":
        print(json.dumps(facts(sys.argv[2])))
        return 0
    return settle()


if __name__ == "__main__":
    sys.exit(main())

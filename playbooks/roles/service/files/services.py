#!/usr/bin/python3 -IS
"""Run what is declared for this server, under s6: the only program that knows the supervisor.

    services init            become process 1: lay out what is declared, watch over it, reap
    services apply [--check] make what runs the same as what is declared; say what that changed
    services ask NAME        let a service run once that runs when it is asked to
    services reload NAME     let a service read its files again
    services state           say of each service whether it runs
    services run NAME        become a service: what a unit of systemd calls, which watches over it
    services marks           say from what each service starts and what it reads, as digests
    run, finish              what s6 calls, in the directory of a service or of its log

Declarations are the file SERVICES; it and the programs belong to root. Everything else, process 1
too, is the user `app` without any capability. Answers are one line of JSON.
"""

import contextlib
import grp
import hashlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

SERVICES = Path("/etc/hosting/services.json")
ENVIRONMENT = Path("/etc/hosting/environment.json")
SCAN = Path("/run/services")
LOGS = Path("/srv/log")
GROUP = "group"  # in a service's directory: the process group that it and its children are
SELF = "/usr/lib/edubba/services"
USER = "app"
LOG_ARCHIVES, LOG_BYTES = 4, 1_000_000  # a service keeps 5 MB of what it said, the newest
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
GIVEN_UP = 125  # s6-supervise(8): a finish script that ends so leaves the service down
STARTS_IN_S = 10.0
STOPS_IN_S = 90.0  # > the longest stop_timeout_s, after which it is killed
_RELOADS = {"HUP": "-h", "USR1": "-1", "USR2": "-2"}

Declaration = Mapping[str, Any]


def read_declared() -> dict[str, Declaration]:
    """Return what shall run, by name."""
    try:
        declared: dict[str, Declaration] = json.loads(SERVICES.read_text())
    except FileNotFoundError:
        return {}
    return declared


def fingerprints(declaration: Declaration) -> dict[str, str]:
    """Return what a service is started from, and what it reads: one digest each."""
    started = hashlib.sha256(json.dumps(declaration, sort_keys=True).encode())
    if declaration["uses_environment"]:
        started.update(_content(ENVIRONMENT))
    read = hashlib.sha256()
    for pattern in declaration["files"]:
        path = Path(pattern)
        for found in sorted(found for found in path.parent.glob(path.name) if found.is_file()):
            read.update(str(found).encode() + hashlib.sha256(_content(found)).digest())
    return {"started": started.hexdigest(), "read": read.hexdigest()}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, PermissionError):
        return b""


class Layout:
    """The directories that s6 watches: one a service, each with its log's beside."""

    def __init__(self) -> None:
        self.uid = pwd.getpwnam(USER).pw_uid
        self.gid = grp.getgrnam(USER).gr_gid

    def _folder(self, path: Path) -> None:
        path.mkdir(mode=0o755, exist_ok=True)
        os.chown(path, self.uid, self.gid)

    def _file(self, path: Path, content: str) -> None:
        path.write_text(content)
        os.chown(path, self.uid, self.gid)

    def _control(self, folder: Path) -> None:
        """Let the user's group command a service: the receiver is in it."""
        supervise = folder / "supervise"
        self._folder(supervise)
        supervise.chmod(0o755)  # whether it runs is no secret in its server
        control = supervise / "control"
        if not control.exists():
            os.mkfifo(control)
            control.chmod(0o660)
            os.chown(control, self.uid, self.gid)

    def lay_out(self, name: str, declaration: Declaration) -> None:
        """Make or renew a service's directory; the run script is a link to this program."""
        folder = SCAN / name
        self._folder(folder)
        for path, script in ((folder, "run"), (folder, "finish"), (folder / "log", "run")):
            self._folder(path)
            if not (path / script).is_symlink():
                (path / script).symlink_to(SELF)
        self._control(folder)
        self._file(folder / "down-signal", declaration["stop_signal"] + "\n")
        self._file(folder / "timeout-kill", f"{int(declaration['stop_timeout_s'] * 1000)}\n")
        down = folder / "down"
        if declaration["starts"] == "asked":
            self._file(down, "")
        else:
            down.unlink(missing_ok=True)

    def note(self, name: str, marks: Mapping[str, str]) -> None:
        """Remember what a service was started from and has read."""
        self._file(SCAN / name / "applied", json.dumps(marks))

    def lay_out_all(self, declared: Mapping[str, Declaration]) -> None:
        """Make everything for the first time."""
        self._folder(SCAN)
        for name, declaration in declared.items():
            self.lay_out(name, declaration)
            self.note(name, fingerprints(declaration))


def init() -> None:
    """Become the supervisor of this server."""
    shutil.rmtree(SCAN, ignore_errors=True)
    Layout().lay_out_all(read_declared())
    os.chdir("/")
    os.execv("/usr/bin/s6-svscan", ["s6-svscan", str(SCAN)])


def _applied(name: str) -> dict[str, str]:
    try:
        marks: dict[str, str] = json.loads((SCAN / name / "applied").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return marks


def list_changes(declared: Mapping[str, Declaration]) -> dict[str, str]:
    """Say what of what runs differs from what is declared, and what would be done about it."""
    changes = {}
    for name, declaration in declared.items():
        applied, wished = _applied(name), fingerprints(declaration)
        if not applied:
            changes[name] = "start"
        elif applied["started"] != wished["started"]:
            changes[name] = "restart"
        elif applied["read"] != wished["read"]:
            changes[name] = declaration["on_change"]
    known = {path.name for path in SCAN.glob("*") if path.is_dir() and path.name[0] != "."}
    return changes | dict.fromkeys(sorted(known - set(declared)), "stop")


def apply(*, is_check: bool) -> dict[str, Any]:
    """Start, restart, reload and stop what has to be; nothing is done where nothing differs."""
    declared = read_declared()
    changes = list_changes(declared)
    if changes and not is_check:
        _carry_out(changes, declared)
    return {"changes": changes}


def _carry_out(changes: Mapping[str, str], declared: Mapping[str, Declaration]) -> None:
    layout = Layout()
    was_up = {name: _status(name)["up"] for name in changes if changes[name] != "start"}
    for name, change in changes.items():
        if change == "stop":
            _remove(name)
            continue
        layout.lay_out(name, declared[name])
        if change == "reload" and was_up[name]:
            _control(name, _RELOADS[declared[name]["reload_signal"]])
        elif change == "restart" and was_up[name]:
            _control(name, "-r")
        layout.note(name, fingerprints(declared[name]))
    subprocess.run(["s6-svscanctl", "-a", str(SCAN)], check=True)
    for name in changes:
        if name in declared and declared[name]["starts"] == "always":
            _wait_until_up(name)


def _remove(name: str) -> None:
    """Stop a service that is not declared any more, its log too, and forget it."""
    gone = SCAN / f".{name}"
    (SCAN / name).rename(gone)  # hidden: the supervisor does not look at it again
    for folder in (gone, gone / "log"):
        subprocess.run(["s6-svc", "-dx", str(folder)], check=False)  # it may have gone by itself
        if not _comes_true(partial(_is_unsupervised, folder), STOPS_IN_S):
            raise SystemExit(f"{name} does not stop")
    subprocess.run(["s6-svscanctl", "-n", str(SCAN)], check=True)
    shutil.rmtree(gone)


def _control(name: str, *options: str) -> None:
    subprocess.run(["s6-svc", *options, str(SCAN / name)], check=True)


def _wait_until_up(name: str) -> None:
    if not _comes_true(lambda: bool(_status(name)["up"]), STARTS_IN_S):
        raise SystemExit(f"{name} does not start; its log is {LOGS / name / 'current'}")


def _is_unsupervised(folder: Path) -> bool:
    return subprocess.run(["s6-svok", str(folder)], check=False).returncode != 0


def _comes_true(is_so: Callable[[], bool], timeout_s: float) -> bool:
    # s6's own waiting is for its user: what it tells root's pipes does not arrive.
    end = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)  # a program of its own, not a step
    return True


def _status(name: str) -> dict[str, Any]:
    fields = ("up", "pid", "exitcode", "updownfor")
    argv = ["s6-svstat", "-o", ",".join(fields), str(SCAN / name)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"up": False}  # its supervisor is not there yet
    up, *numbers = done.stdout.split()
    return {"up": up == "true"} | dict(zip(fields[1:], map(int, numbers), strict=True))


def ask(name: str) -> dict[str, Any]:
    """Start a service that does not run; it is not started again when it ends."""
    _control(name, "-o")
    return {}


def reload(name: str) -> dict[str, Any]:
    """Let a running service read its files again, finishing what it is at."""
    declaration = read_declared()[name]
    _control(name, _RELOADS[declaration["reload_signal"]])
    with contextlib.suppress(PermissionError):  # the receiver may reload, and keeps no marks
        Layout().note(name, fingerprints(declaration))
    return {}


def state() -> dict[str, Any]:
    """Say how each service is."""
    return {name: _status(name) for name in read_declared()}


def run(name: str, *, waits: bool) -> None:
    """Become a service; one with times waits for the next of them first, if it shall."""
    declaration = read_declared()[name]
    os.dup2(1, 2)
    environment = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/tmp", **declaration["environment"]}  # noqa: S108  # inside a server
    if declaration["uses_environment"]:
        environment.update(json.loads(_content(ENVIRONMENT) or b"{}"))
    if declaration["goes_first"]:
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
    os.chdir(declaration["directory"])
    command = [*(_snooze(declaration["times"]) if waits else ()), *declaration["command"]]
    os.execvpe(command[0], command, environment)  # no shell is wanted


def _snooze(times: Mapping[str, list[int] | None] | None) -> list[str]:
    """Return the command that waits for the next of these moments; none, none."""
    if times is None:
        return []
    options = {"minute": "-M", "hour": "-H", "day": "-d", "month": "-m", "weekday": "-w"}
    command = ["snooze", "-S0"]
    for field, option in options.items():
        numbers = times[field]
        command.append(option + ("*" if numbers is None else ",".join(map(str, numbers))))
    return command


def log(name: str) -> None:
    """Become the log of a service: bounded, with times."""
    folder = LOGS / name
    folder.mkdir(exist_ok=True)
    folder.chmod(0o2750)  # the group's receiver shows its end to who deploys
    rules = [f"n{LOG_ARCHIVES}", f"s{LOG_BYTES}", "T", str(folder)]
    os.execv("/usr/bin/s6-log", ["s6-log", *rules])


def finish(code: str) -> int:
    """End what the service of this directory left behind, or its successor finds its place taken.

    One that gave up by itself is left down; the supervisor starts others again.
    """
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        os.killpg(int(Path(GROUP).read_text()), signal.SIGKILL)
    return GIVEN_UP if code == str(GIVEN_UP) else 0


def main() -> int:
    """Do what the program was called for, by its name or by its first argument."""
    os.umask(0o022)
    called = Path(sys.argv[0]).name
    if called == "finish":
        return finish(sys.argv[1])
    if called == "run":
        folder = Path.cwd()
        if folder.name == "log":
            log(folder.parent.name)
        Path(GROUP).write_text(str(os.getpid()))
        # What it starts with now, which may be another's change: only so is that seen and undone.
        Layout().note(folder.name, fingerprints(read_declared()[folder.name]))
        run(folder.name, waits=True)
    verb, options = sys.argv[1], sys.argv[2:]
    if verb == "init":
        init()
    if verb == "run":
        run(options[0], waits=False)
    answers: dict[str, Callable[[], dict[str, Any]]] = {
        "apply": lambda: apply(is_check="--check" in options),
        "ask": lambda: ask(options[0]),
        "reload": lambda: reload(options[0]),
        "state": state,
        "marks": lambda: {name: fingerprints(one) for name, one in read_declared().items()},
    }
    print(json.dumps(answers[verb]()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

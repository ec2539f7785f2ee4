#!/usr/bin/python3 -IS
"""Receive releases inside a server: called for each verb, ends with it.

What comes in is checked here again, whoever sent it (content.py). Answers are JSON on standard
output; a refusal is `{"error": code, …}` with exit status 3.

What a kind of hosting adds is a program in HOOKS, called with the deployment's id: `stage` lets
what serves it on the inner port start, `judge` may say no after its page was asked for, `refused`
follows a no and may tell more, `switched` follows the switch, `pruned` follows the pruning. Exit
status 0 is yes, 75 is "not yet, ask again", anything else is no, and what it printed is shown to
who deployed.

    missing             digests, one a line → those that are not here, one a line
    put                 `<digest> <size>` and the bytes, again and again, then `end`
    assemble            a line of JSON about the deployment, one for each file, then `end`
    check ID PATH       serve it on the inner port only, and ask for the path
    switch ID           make it the live one
    prune               deployments to keep, one a line, then `end`
    probe               a line of JSON for each target, then `end`
    inspect             what was configured, as one digest, and the services that do not run
    logs                a line of JSON: how far each log is known, then `end` → what is new
"""

import errno
import fcntl
import http
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

PROGRAMS = Path("/usr/lib/edubba")
sys.path.insert(0, str(PROGRAMS))  # root's own folder, where this program lies, too

from content import SITE, Trouble, build, lines, missing, put, sync  # noqa: E402

HOOKS = Path(os.environ.get("EDUBBA_HOOKS", "/usr/lib/edubba/hooks"))
INNER_PORT = 8081  # nginx.conf
HOOK_TIMEOUT_S = 40  # a hook answers "not yet" before
NOT_YET = 75  # EX_TEMPFAIL, sysexits.h
NONCE_PATH = "/.well-known/edubba/deployment"
DEPLOYMENT = re.compile(r"dep_[0-9a-z]{26}")
NONCE = re.compile(r"[!-~]{8,256}")
OUTPUT_MAX = 4096
PROBE_TIMEOUT_S = 1.5
_FULL = {errno.ENOSPC, errno.EDQUOT}


def _deployment(name: str) -> Path:
    if not DEPLOYMENT.fullmatch(name):
        raise Trouble("bad_deployment", deployment=name[:64])
    return SITE / "deployments" / name


def _lock() -> None:
    """Let one verb at a time change deployments; the lock ends with this process."""
    handle = os.open(SITE / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    fcntl.flock(handle, fcntl.LOCK_EX)


def _point(link: str, deployment: str) -> None:
    """Let a link name a deployment, from one moment to the next."""
    new = SITE / f".{link}.new"
    new.unlink(missing_ok=True)
    new.symlink_to(f"deployments/{deployment}")
    new.rename(SITE / link)


def _pointed(link: str) -> str | None:
    try:
        return (SITE / link).readlink().name
    except FileNotFoundError:
        return None


def assemble() -> dict[str, Any]:
    """Build a deployment beside the live one, of blobs that are here."""
    sent = lines()
    about = json.loads(next(sent))
    target = _deployment(str(about["deployment"]))
    if not NONCE.fullmatch(str(about["nonce"])):
        raise Trouble("bad_nonce")
    record = json.dumps(about, sort_keys=True)
    _lock()
    if target.is_dir() and (target / "about.json").read_text() == record:
        for _ in sent:  # the sender is not cut off in the middle
            pass
        return {"adopted": True}
    if _pointed("live") == target.name:
        raise Trouble("deployment_is_live", deployment=target.name)
    shutil.rmtree(target, ignore_errors=True)
    new = target.with_name(target.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    build(new, about, sent)
    (new / "about.json").write_text(record)
    sync()
    new.rename(target)
    sync()
    return {"adopted": False}


def check(deployment: str, path: str) -> dict[str, Any]:
    """Serve a deployment on the inner port and ask it for its nonce and for a path."""
    target = _deployment(deployment)
    if not target.is_dir():
        raise Trouble("release_missing", deployment=deployment)
    _lock()
    _point("staged", deployment)
    verdict = _hook("stage", deployment)
    if verdict is None:
        verdict = _ask_for(target, path)
        told = _hook("judge", deployment)
        if told:
            output = f"{verdict['output']}\n{told['output']}"
            verdict = {"passed": False, "output": output[:OUTPUT_MAX]}
    if not verdict["passed"]:
        more = _call("refused", deployment)
        verdict["output"] = f"{verdict['output']}\n{more[1] if more else ''}".strip()[:OUTPUT_MAX]
    return verdict


def _ask_for(target: Path, path: str) -> dict[str, Any]:
    try:
        status, body = _ask(NONCE_PATH)
        if status != http.HTTPStatus.OK or body.decode() != (target / "nonce").read_text():
            return {"passed": False, "output": f"GET {NONCE_PATH}: {status}, another deployment"}
        status, body = _ask(path)
    except OSError as error:
        return {"passed": False, "output": f"The web server does not answer: {error}"}
    passed = http.HTTPStatus.OK <= status < http.HTTPStatus.BAD_REQUEST
    shown = "" if passed else "\n" + body.decode(errors="replace")
    return {"passed": passed, "output": f"GET {path}: {status}{shown}"[:OUTPUT_MAX]}


def _hook(name: str, deployment: str) -> dict[str, Any] | None:
    """Call a program of this kind of hosting; return its verdict if it says no."""
    done = _call(name, deployment)
    if done is None or done[0] == 0:
        return None
    if done[0] == NOT_YET:
        raise Trouble("release_preparing", deployment=deployment)
    return {"passed": False, "output": done[1]}


def _call(name: str, deployment: str) -> tuple[int, str] | None:
    """Return how a program of this kind of hosting ended and the end of what it said."""
    program = HOOKS / name
    if not program.exists():
        return None
    try:
        done = subprocess.run(
            [str(program), deployment],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=HOOK_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return NOT_YET, ""
    return done.returncode, done.stdout[-OUTPUT_MAX:].decode(errors="replace")


def _insist(name: str, deployment: str) -> None:
    """Call a program that has to say yes, sooner or later: what it follows is a fact already."""
    verdict = _hook(name, deployment)
    if verdict:
        raise Trouble("release_unsettled", why=str(verdict["output"])[-200:])


def _ask(path: str) -> tuple[int, bytes]:
    import http.client  # noqa: PLC0415  # half of what this program costs, and one verb needs it

    connection = http.client.HTTPConnection("127.0.0.1", INNER_PORT, timeout=10)
    try:
        connection.request("GET", quote("/" + path.lstrip("/"), safe="/%?&=+:@,;~"))
        answer = connection.getresponse()
        return answer.status, answer.read(OUTPUT_MAX)
    finally:
        connection.close()


def switch(deployment: str) -> dict[str, Any]:
    """Make a deployment the live one."""
    if not _deployment(deployment).is_dir():
        raise Trouble("release_missing", deployment=deployment)
    _lock()
    before = _pointed("live")
    if before != deployment:
        _point("live", deployment)
        sync()
    _insist("switched", deployment)
    return {"before": before}


def prune() -> dict[str, Any]:
    """Forget deployments that nobody wants, then blobs that none of the others has."""
    keep = set(lines()) | {_pointed("live")}
    _lock()
    used: set[str] = set()
    removed = 0
    for path in (SITE / "deployments").iterdir():
        if path.name in keep:
            used.update((path / "blobs").read_text().split())
        else:
            shutil.rmtree(path)
            removed += 1
    blobs = [blob for blob in (SITE / "blobs").glob("??/*") if blob.name not in used]
    for blob in blobs:
        blob.unlink()
    if removed:
        _insist("pruned", _pointed("live") or "")
    return {"deployments": removed, "blobs": len(blobs)}


def probe() -> dict[str, Any]:
    """Try to reach targets; the control is a listener of our own."""
    targets = [json.loads(line) for line in lines()]
    with socket.create_server(("127.0.0.1", 0)) as control:
        passed = _is_reached("127.0.0.1", int(control.getsockname()[1]))
    reached = [t["name"] for t in targets if _is_reached(str(t["address"]), int(t["port"]))]
    return {"controls_passed": passed, "reached": reached, "tried": [t["name"] for t in targets]}


def _is_reached(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=PROBE_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _become(name: str) -> dict[str, Any]:
    """Become another program, which answers; a server that has it not has nothing to tell."""
    program = PROGRAMS / name
    if program.is_file():
        os.execv(program, [str(program)])  # a fixed one of root's, in the place of this one
    return {}


VERBS: dict[str, tuple[int, Callable[..., dict[str, Any] | None]]] = {
    "missing": (0, missing),
    "put": (0, put),
    "assemble": (0, assemble),
    "check": (2, check),
    "switch": (1, switch),
    "prune": (0, prune),
    "probe": (0, probe),
    "inspect": (0, partial(_become, "look")),
    "logs": (0, partial(_become, "logs")),
}


def _answer(verb: str, arguments: list[str]) -> dict[str, Any] | None:
    count, function = VERBS.get(verb, (-1, missing))
    if len(arguments) != count:
        raise Trouble("bad_verb", verb=verb[:32])
    try:
        return function(*arguments)
    except OSError as error:
        if error.errno in _FULL:
            raise Trouble("disk_full") from error
        raise
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise Trouble("bad_input", why=str(error)[:200]) from error


def main() -> int:
    """Do one verb and say how it went."""
    os.umask(0o022)
    try:
        answer = _answer(sys.argv[1] if len(sys.argv) > 1 else "", sys.argv[2:])
    except Trouble as trouble:
        print(json.dumps({"error": trouble.code, **trouble.facts}))
        return 3
    if answer is not None:
        print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())

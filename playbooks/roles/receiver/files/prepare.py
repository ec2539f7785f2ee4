#!/usr/bin/python3 -IS
"""Get a deployment ready, as the user that will serve it: the receiver is another one.

    prepare                  the service: prepare the deployment that ASKED names
    prepare ask DEPLOYMENT   the receiver's: have it prepared and wait a little for the outcome;
                             exit status 0 is yes, 75 not yet, 1 no, with the reason printed

What stays when releases change gets its first content from the first release that has it. Then
the programs in STEPS are called in the order of their names; one that fails ends it.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SITE, PERSISTENT = Path("/srv/site"), Path("/srv/persistent")
ASKED = SITE / "asked" / "prepare"
OUTCOMES = Path("/srv/app/prepared")
STEPS = Path("/usr/lib/edubba/prepare.d")
SERVICES = "/usr/lib/edubba/services"
WAIT_S, POLL_S = 2.0, 0.1  # then the caller's caller, who has others to look after, asks again
ATTEMPTS = 2  # one that is killed, as memory's limit does it, is tried once more
KEPT = 20
OUTPUT_MAX = 4096
RESERVE_BYTES = 1 << 16  # so that a release that fills the disk can be told of
NOT_YET = 75  # EX_TEMPFAIL, sysexits.h
GOES_FIRST = "1000"  # oom_score_adj, proc(5): when memory ends, before what is live


def read_outcome(deployment: str) -> dict[str, Any]:
    """Return what is known of a deployment's preparation: `attempts`, and `passed` at its end."""
    try:
        outcome: dict[str, Any] = json.loads((OUTCOMES / f"{deployment}.json").read_text())
    except (FileNotFoundError, ValueError):
        return {"attempts": 0}
    return outcome


def _reserve() -> Path:
    reserve = OUTCOMES / ".reserve"
    if not reserve.is_file():
        reserve.write_bytes(bytes(RESERVE_BYTES))
    return reserve


def _write(path: Path, content: str) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_text(content)
    new.rename(path)


def seed(deployment: str) -> None:
    """Give what stays its first content; what is there already is left alone."""
    links = json.loads(Path("/etc/hosting/persistent.json").read_text())
    for name in links:
        target, source = PERSISTENT / name, SITE / "deployments" / deployment / "seed" / name
        if target.exists() and not _is_empty(target):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if not source.exists():
            target.mkdir(exist_ok=True)
            continue
        new = target.with_name(f".{target.name}.new")
        if source.is_dir():
            shutil.rmtree(new, ignore_errors=True)
            shutil.copytree(source, new, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(source, new)
        if target.is_dir():
            target.rmdir()
        new.rename(target)


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def prepare() -> None:
    """Prepare the deployment that was asked for, and write down how it went."""
    Path("/proc/self/oom_score_adj").write_text(GOES_FIRST)
    deployment = ASKED.read_text().strip()
    attempts = read_outcome(deployment)["attempts"] + 1
    outcome = OUTCOMES / f"{deployment}.json"
    _write(outcome, json.dumps({"attempts": attempts}))
    reserve = _reserve()
    verdict = _steps(deployment)
    reserve.unlink()
    _write(outcome, json.dumps({"attempts": attempts, **verdict}))
    outcomes = sorted(OUTCOMES.glob("dep_*.json"), key=lambda path: path.stat().st_mtime)
    for old in outcomes[:-KEPT]:
        old.unlink()


def _steps(deployment: str) -> dict[str, Any]:
    try:
        seed(deployment)
    except OSError as error:
        return {"passed": False, "output": f"What is to stay could not be laid out: {error}"}
    for step in sorted(STEPS.glob("*")):
        done = subprocess.run(
            [str(step), deployment],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        output = done.stdout.decode(errors="replace")
        print(output, end="", flush=True)  # for the service's log
        if done.returncode:
            return {"passed": False, "output": output[-OUTPUT_MAX:]}
    return {"passed": True, "output": ""}


def ask(deployment: str) -> int:
    """Have a deployment prepared, once; say how that went, or that it is under way."""
    end = time.monotonic() + WAIT_S
    while True:
        is_up = _is_up()  # looked at before the outcome, which is written before it ends
        outcome = read_outcome(deployment)
        if "passed" in outcome:
            print(outcome["output"], end="")
            return 0 if outcome["passed"] else 1
        if not is_up and outcome["attempts"] >= ATTEMPTS:
            print("Preparing the release was ended from outside twice: did it use too much memory?")
            return 1
        if not is_up:
            _start(deployment)
        if time.monotonic() > end:
            return NOT_YET
        time.sleep(POLL_S)


def _is_up() -> bool:
    said = subprocess.run([SERVICES, "state"], check=True, capture_output=True)
    states: Mapping[str, Mapping[str, bool]] = json.loads(said.stdout)
    return states["prepare"]["up"]


def _start(deployment: str) -> None:
    _write(ASKED, deployment)
    subprocess.run([SERVICES, "ask", "prepare"], check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    """Prepare, or ask for it."""
    os.umask(0o022)
    if sys.argv[1:2] == ["ask"]:
        return ask(sys.argv[2])
    prepare()
    return 0


if __name__ == "__main__":
    sys.exit(main())

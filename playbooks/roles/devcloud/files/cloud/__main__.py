"""A whole OpenStack in namespaces of its own: start it, stop it, say how it is.

    cloud start PLAN    until all services answer, or until one failed, which is told with its log
    cloud stop PLAN     end it, and remove what kernel and libvirt keep of it
    cloud status PLAN   one line; 0 if it is ready, 3 if not

The plan is JSON, written by the role. Two processes stay: a keeper in the host's namespaces, and
its child, process 1 of the cloud's. When either ends, the kernel ends all that is in the cloud.
Standard library only; root's own files only.
"""

import json
import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import host
import inside
from plan import Plan, Status

READY, NOT_READY = 0, 3
STOP_SECONDS = 60.0  # > what `inside` gives the services to end


def start(plan: Plan) -> int:
    """Start the cloud and follow it; 0 when it is ready, also when it was before."""
    running = host.find_keeper(plan)
    if running is None:
        host.clean(plan)
        plan.progress_path.write_text("")
        Status("starting").write(plan)
        begin_keeper(plan)
    return follow(plan)


def begin_keeper(plan: Plan) -> None:
    """Fork the keeper away from the terminal."""
    if os.fork():
        return
    os.setsid()
    log = os.open(plan.log_dir / "cloud.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for number, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(number, target)
    os._exit(keep(plan))


def keep(plan: Plan) -> int:
    """Be the keeper: make the cloud's first process and its link, wait for its end, clean up."""
    with ExitStack() as stack:
        stack.enter_context(host.lock(plan))
        ours, theirs = host.new_pair()
        with host.new_processes():
            first = os.fork()
            if first == 0:
                ours.close()
                os._exit(inside.live(plan, theirs))
        theirs.close()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os.kill(first, signal.SIGTERM))
        try:
            if ours.recv(1):  # it has left the host's network, and not failed before
                host.join_network(plan, first)
                ours.sendall(b".")
        except OSError as error:
            Status("failed", f"The link to the cloud could not be made: {error}").write(plan)
            os.kill(first, signal.SIGKILL)
        _, ended = os.waitpid(first, 0)
        host.clean(plan)
        status = Status.read(plan)
        if status.state in {"starting", "ready"}:
            Status("failed", f"Its first process ended, wait status {ended}.").write(plan)
        return 0


def follow(plan: Plan) -> int:
    """Print what happens until the cloud is ready or has failed."""
    shown = 0
    while True:
        status = Status.read(plan)
        text = plan.progress_path.read_text()
        sys.stdout.write(text[shown:])
        sys.stdout.flush()
        shown = len(text)
        if status.state == "ready":
            return READY
        if status.state != "starting":
            print(status.reason, file=sys.stderr)
            return 1
        time.sleep(0.2)


def stop(plan: Plan) -> int:
    """End the cloud if it runs; remove what is left of it in any case."""
    pid = host.find_keeper(plan)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while host.find_keeper(plan) is not None:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)  # the first process dies with it
                deadline = time.monotonic() + STOP_SECONDS
            time.sleep(0.1)
        print("stopped")
    host.clean(plan)
    if Status.read(plan).state != "failed":
        Status("stopped").write(plan)
    return READY


def tell(plan: Plan) -> int:
    """Print how the cloud is."""
    status = Status.read(plan)
    if host.find_keeper(plan) is None and status.state in {"starting", "ready"}:
        status = Status("failed", "Its keeper is gone.")
    print(f"{status.state} {status.reason}".strip())
    return READY if status.state == "ready" else NOT_READY


def main(arguments: list[str]) -> int:
    """Do what the command line says."""
    verbs = {"start": start, "stop": stop, "status": tell}
    match arguments:
        case [verb, path] if verb in verbs:
            plan = Plan.parse(json.loads(Path(path).read_text()))
            return verbs[verb](plan)
        case _:
            print(__doc__, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

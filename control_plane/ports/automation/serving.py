"""The runner's door: a Unix socket for the worker alone, whose uid the kernel vouches for."""

import json
import socket
import socketserver
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from control_plane.kit.errors import Refused, Unavailable
from control_plane.kit.ids import is_id
from control_plane.kit.log import get_log
from control_plane.locald.protocol import peer
from control_plane.ports.automation.runs import Runs
from control_plane.ports.automation.wire import fact_to_json, spec_from_json
from control_plane.ports.cloud.port import Fence

REQUEST_MAX = 8 << 20  # the largest wish that the port takes, and room for its accesses
_IDLE_S = 60.0
log = get_log("runner")
Request = Mapping[str, Any]


class Door(socketserver.ThreadingUnixStreamServer):
    """Serves the runner's verbs."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: Path, runs: Runs, clients: Collection[int]) -> None:
        self.runs, self.clients = runs, frozenset(clients)
        new = path.with_name(f".{path.name}.new")
        new.unlink(missing_ok=True)
        super().__init__(str(new), Conversation)
        new.chmod(0o660)  # the folder's group is the worker's
        new.rename(path)


class Conversation(socketserver.StreamRequestHandler):
    """One connection: a line of JSON each way, again and again."""

    server: Door
    timeout = _IDLE_S

    def handle(self) -> None:
        """Answer until the client is gone."""
        connection: socket.socket = self.connection
        pid, uid = peer(connection)
        if uid not in self.server.clients:
            log.warning("client_refused", pid=pid, uid=uid)
            self._say(_no(Refused("not_allowed", uid=uid)))
            return
        try:
            while line := self.rfile.readline(REQUEST_MAX + 1):
                self._say(self._answer(line))
                if len(line) > REQUEST_MAX:
                    return  # where the next request begins is unknown
        except OSError:
            return  # it is gone, or was silent too long

    def _say(self, message: Mapping[str, Any]) -> None:
        self.wfile.write(json.dumps(message).encode() + b"\n")

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            return {"ok": True, "result": _do(self.server.runs, _parse(line))}
        except (Refused, Unavailable) as no:
            return _no(no)
        except OSError as error:
            log.exception("machine_failed")
            return _no(Unavailable("runner_not_ready", why=str(error)))


def _no(no: Refused | Unavailable) -> dict[str, Any]:
    return {"ok": False, "code": no.code, "facts": no.facts, "final": isinstance(no, Refused)}


def _parse(line: bytes) -> Request:
    try:
        request = json.loads(line) if len(line) <= REQUEST_MAX else None
    except (ValueError, RecursionError):
        request = None
    if not isinstance(request, dict):
        raise Refused("bad_request", field="json")
    return request


def _do(runs: Runs, request: Request) -> Any:
    verb = _VERBS.get(str(request.get("verb")))
    if verb is None:
        raise Refused("bad_request", field="verb")
    try:
        return verb(runs, request)
    except (KeyError, TypeError, ValueError) as error:
        raise Refused("bad_request", field=str(error)[:40]) from error


def _identity(value: object, prefix: str) -> str:
    """Return an id; it becomes the name of a file."""
    if not isinstance(value, str) or not is_id(value, prefix):
        raise Refused("bad_request", field=f"{prefix}_id")
    return value


def _run(request: Request) -> str:
    return _identity(request["run_id"], "run")


def _fence(request: Request) -> Fence:
    life = request["fence"]["life_id"]
    return Fence(_identity(life, str(life)[:3]), int(request["fence"]["counter"]))


def _start(runs: Runs, request: Request) -> None:
    runs.start(spec_from_json(request["spec"]), _fence(request))


def _observe(runs: Runs, request: Request) -> dict[str, Any]:
    wait = timedelta(milliseconds=int(request["wait_ms"]))
    return fact_to_json(runs.observe(_run(request), int(request["after_event"]), wait))


def _cancel(runs: Runs, request: Request) -> dict[str, Any]:
    return fact_to_json(runs.cancel(_run(request), _fence(request)))


def _forget(runs: Runs, request: Request) -> None:
    runs.forget(_run(request), _fence(request))


_VERBS: dict[str, Callable[[Runs, Request], Any]] = {
    "start": _start,
    "observe": _observe,
    "cancel": _cancel,
    "forget": _forget,
}

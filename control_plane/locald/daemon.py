"""The root daemon: listens on a Unix socket, knows its clients by uid, does their verbs."""

import fcntl
import json
import os
import pwd
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from control_plane.locald.commands import MARK, PATH, CommandFailed
from control_plane.locald.faults import Fault, Refusal
from control_plane.locald.names import Names
from control_plane.locald.processes import become_subreaper, kill_strays, reap_for_ever
from control_plane.locald.protocol import answer, close_all, has_gone, peer, receive
from control_plane.locald.verbs import Verbs

CLIENTS_MAX = 64  # connections at once; the worker's thread pool is far smaller
RUNNERS_MAX = 32  # of their own, so that a runner out of hand can't keep the worker out
WAITING_MAX = 1024  # beyond these: a Unix socket refuses at once instead of letting them wait
_STICKY, _WRITABLE = 0o1000, 0o022

Do = Callable[[dict[str, Any], list[int], socket.socket], Any]


def log(event: str, **facts: Any) -> None:
    """Write one line of JSON for supervisord to keep."""
    sys.stderr.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stderr.flush()


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the environment says: the instance, and who may ask."""

    names: Names
    clients: dict[int, int]  # uid → gid
    runners: dict[int, int]  # uid → gid, of those who may only command servers for an open run

    @classmethod
    def read(cls) -> "Configuration":
        """Read EDUBBA_INSTANCE, _STATE_DIR, _RUN_DIR, _LOCALD_USERS and _LOCALD_RUNNERS.

        The last two are names, or uids that need no entry (their group has the same number), with
        commas between them.
        """
        instance = os.environ.get("EDUBBA_INSTANCE", "edubba")
        folders = [os.environ.get(f"EDUBBA_{kind}_DIR") for kind in ("STATE", "RUN")]
        names = Names.of(instance, *(Path(folder) if folder else None for folder in folders))
        clients = os.environ.get("EDUBBA_LOCALD_USERS", f"{instance}-worker")
        runners = os.environ.get("EDUBBA_LOCALD_RUNNERS", f"{instance}-runner")
        return cls(names, _users(clients), _users(runners))


def _users(names: str) -> dict[int, int]:
    wanted = names.split(",")
    numbers = {int(user): int(user) for user in wanted if user.isdecimal()}
    known = {user.pw_uid: user.pw_gid for user in pwd.getpwall() if user.pw_name in wanted}
    return numbers | known


def check_prefix(folder: Path) -> None:
    """Refuse to run code that anybody but root can change."""
    for path in (*folder.glob("*.py"), folder, *folder.parents):
        facts = path.stat()
        is_open = facts.st_mode & _WRITABLE and not facts.st_mode & _STICKY
        if facts.st_uid != 0 or is_open:
            raise SystemExit(f"{path} can be changed by others than root")


def listen(path: Path, clients: Mapping[int, int]) -> socket.socket:
    """Put a socket in place, for the clients' group alone."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.bind(str(new))
    os.chown(new, 0, next(iter(clients.values()), 0))
    new.chmod(0o660)
    listener.listen(WAITING_MAX)
    new.rename(path)
    return listener


class Door:
    """One socket's: who may come in, how many at once, and what is done for them."""

    def __init__(self, allowed: frozenset[int], do: Do, most: int) -> None:
        self.allowed, self.do = allowed, do
        self.places = threading.BoundedSemaphore(most)


class Daemon:
    """Serves connections, each in a thread of its own."""

    def __init__(self, configuration: Configuration) -> None:
        self._clients = frozenset({0, *configuration.clients})
        self._runners = frozenset({0, *configuration.runners})
        self._verbs = Verbs(configuration.names)

    def begin(self) -> None:
        """Clear what an earlier daemon left running."""
        self._verbs.begin()

    def serve(self, listener: socket.socket) -> None:
        """Take the connections of clients, for ever."""
        self._take(listener, Door(self._clients, self._do, CLIENTS_MAX))

    def serve_runs(self, listener: socket.socket) -> None:
        """Take the connections of the runner, for ever."""
        self._take(listener, Door(self._runners, self._do_for_run, RUNNERS_MAX))

    def _take(self, listener: socket.socket, door: Door) -> None:
        while True:
            connection, _ = listener.accept()
            door.places.acquire()
            about = (connection, door)
            threading.Thread(target=self._converse, args=about, daemon=True).start()

    def _do(self, request: dict[str, Any], handles: list[int], _: socket.socket) -> Any:
        return self._verbs.do(request, handles)

    def _do_for_run(
        self, request: dict[str, Any], handles: list[int], connection: socket.socket
    ) -> Any:
        return self._verbs.do_for_run(request, handles, lambda: has_gone(connection))

    def _converse(self, connection: socket.socket, door: Door) -> None:
        pid, uid = peer(connection)
        try:
            with connection:
                if uid not in door.allowed:
                    log("client_refused", pid=pid, uid=uid)
                    answer(connection, _fault(Refusal("not_allowed", uid=uid)))
                    return
                while self._serve_one(connection, door.do):
                    pass
        except OSError as error:
            log("client_lost", pid=pid, uid=uid, why=str(error))
        finally:
            door.places.release()

    def _serve_one(self, connection: socket.socket, do: Do) -> bool:
        try:
            received = receive(connection)
        except Refusal as refusal:
            answer(connection, _fault(refusal))
            return False  # where the next request would begin is unknown
        if received is None:
            return False
        request, handles = received
        try:
            answer(connection, self._answer_to(request, lambda: do(request, handles, connection)))
        finally:
            close_all(handles)
        return True

    def _answer_to(self, request: dict[str, Any], do: Callable[[], Any]) -> dict[str, Any]:
        began = time.monotonic()
        try:
            message: dict[str, Any] = {"ok": True, "result": do()}
        except Fault as fault:
            message = _fault(fault)
        except (CommandFailed, OSError) as error:
            message = {
                "ok": False,
                "code": "host_failed",
                "facts": {"why": str(error)},
                "final": False,
            }
        took_ms = round((time.monotonic() - began) * 1000)
        shown = ("server_id", "tenant_id", "run_id", "wire_id", "call")
        facts = {key: str(request[key])[:32] for key in shown if key in request}
        outcome = {key: message[key] for key in ("code", "facts") if key in message}
        log("verb_done", verb=str(request.get("verb"))[:32], took_ms=took_ms, **facts, **outcome)
        return message


def _fault(fault: Fault) -> dict[str, Any]:
    return {"ok": False, "code": fault.code, "facts": fault.facts, "final": fault.is_final}


def _end(*_: object) -> None:
    raise SystemExit(0)


def main() -> None:
    """Run until a signal ends it. Raises SystemExit where it can't or may not run."""
    check_prefix(Path(__file__).resolve().parent)
    if os.geteuid() != 0:
        raise SystemExit("locald must be run by root")
    os.umask(0o022)
    configuration = Configuration.read()
    names = configuration.names
    os.environ["PATH"] = PATH
    for folder in (names.run_dir, names.state_dir):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    for folder in (names.run_dir / "servers", names.servers_dir):
        folder.mkdir(mode=0o711, exist_ok=True)
    lock = (names.run_dir / "locald.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(f"another locald runs for {names.instance}") from None
    log("strays_killed", count=kill_strays(names.instance))
    os.environ[MARK] = names.instance
    become_subreaper()
    threading.Thread(target=reap_for_ever, name="reaper", daemon=True).start()
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    daemon = Daemon(configuration)
    daemon.begin()
    runs = listen(names.runs_socket, configuration.runners)
    threading.Thread(target=daemon.serve_runs, args=(runs,), name="runs", daemon=True).start()
    listener = listen(names.socket, configuration.clients)
    log("listening", instance=names.instance, clients=sorted(configuration.clients))
    daemon.serve(listener)

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from control_plane.locald.commands import MARK, PATH, CommandFailed
from control_plane.locald.faults import Fault, Refusal
from control_plane.locald.names import Names
from control_plane.locald.processes import become_subreaper, kill_strays, reap_for_ever
from control_plane.locald.protocol import answer, close_all, peer, receive
from control_plane.locald.verbs import Verbs

CLIENTS_MAX = 64  # connections at once; the worker's thread pool is far smaller
_STICKY, _WRITABLE = 0o1000, 0o022


def log(event: str, **facts: Any) -> None:
    """Write one line of JSON for supervisord to keep."""
    sys.stderr.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stderr.flush()


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the environment says: the instance, and who may ask."""

    names: Names
    clients: dict[int, int]  # uid → gid

    @classmethod
    def read(cls) -> "Configuration":
        """Read EDUBBA_INSTANCE, _STATE_DIR, _RUN_DIR and _LOCALD_USERS.

        The last are names, or uids that need no entry (their group has the same number), with
        commas between them.
        """
        instance = os.environ.get("EDUBBA_INSTANCE", "edubba")
        folders = [os.environ.get(f"EDUBBA_{kind}_DIR") for kind in ("STATE", "RUN")]
        names = Names.of(instance, *(Path(folder) if folder else None for folder in folders))
        wanted = os.environ.get("EDUBBA_LOCALD_USERS", f"{instance}-worker").split(",")
        numbers = {int(user): int(user) for user in wanted if user.isdecimal()}
        known = {user.pw_uid: user.pw_gid for user in pwd.getpwall() if user.pw_name in wanted}
        return cls(names, numbers | known)


def check_prefix(folder: Path) -> None:
    """Refuse to run code that anybody but root can change."""
    for path in (*folder.glob("*.py"), folder, *folder.parents):
        facts = path.stat()
        is_open = facts.st_mode & _WRITABLE and not facts.st_mode & _STICKY
        if facts.st_uid != 0 or is_open:
            raise SystemExit(f"{path} can be changed by others than root")


def listen(configuration: Configuration) -> socket.socket:
    """Put the socket in place, for the clients' group alone."""
    path = configuration.names.socket
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.bind(str(new))
    os.chown(new, 0, next(iter(configuration.clients.values()), 0))
    new.chmod(0o660)
    listener.listen(CLIENTS_MAX)
    new.rename(path)
    return listener


class Daemon:
    """Serves connections, each in a thread of its own."""

    def __init__(self, configuration: Configuration) -> None:
        self._clients = {0, *configuration.clients}
        self._verbs = Verbs(configuration.names)
        self._places = threading.BoundedSemaphore(CLIENTS_MAX)

    def begin(self) -> None:
        """Clear what an earlier daemon left running."""
        self._verbs.begin()

    def serve(self, listener: socket.socket) -> None:
        """Take connections for ever."""
        while True:
            connection, _ = listener.accept()
            self._places.acquire()
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        pid, uid = peer(connection)
        try:
            with connection:
                if uid not in self._clients:
                    log("client_refused", pid=pid, uid=uid)
                    answer(connection, _fault(Refusal("not_allowed", uid=uid)))
                    return
                while self._serve_one(connection):
                    pass
        except OSError as error:
            log("client_lost", pid=pid, uid=uid, why=str(error))
        finally:
            self._places.release()

    def _serve_one(self, connection: socket.socket) -> bool:
        try:
            received = receive(connection)
        except Refusal as refusal:
            answer(connection, _fault(refusal))
            return False  # where the next request would begin is unknown
        if received is None:
            return False
        request, handles = received
        try:
            answer(connection, self._do(request, handles))
        finally:
            close_all(handles)
        return True

    def _do(self, request: dict[str, Any], handles: list[int]) -> dict[str, Any]:
        began = time.monotonic()
        try:
            message: dict[str, Any] = {"ok": True, "result": self._verbs.do(request, handles)}
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
        facts = {key: request[key] for key in ("server_id", "tenant_id", "call") if key in request}
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
    listener = listen(configuration)
    log("listening", instance=names.instance, clients=sorted(configuration.clients))
    daemon.serve(listener)

"""The edge on haproxy: what is asked for goes into a file and into the running process.

The file comes first, so that a restart between the two loses nothing; both change under one lock,
so that they say the same. Nothing is ever reloaded.
"""

import fcntl
import os
import secrets
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

from control_plane.kit.errors import Refused, Unavailable
from control_plane.ports.edge.config import CERTIFICATE_LIST, ROUTES
from control_plane.ports.edge.port import Answer, Certificate, Route, RouteState
from control_plane.ports.edge.rules import check_certificate_name, check_hostname, check_route
from control_plane.ports.edge.runtime import RuntimeInterface, list_batches
from control_plane.ports.edge.visitor import Visitor

_NO_ADDRESS = "-"
_CERTIFICATES = "certs"
_KEY_MODE = 0o640  # the worker writes, the edge's group (the folder's) reads


class HaproxyEdge:
    """Implements `Edge` over `directory` (the map, the list, `certs/`) and the admin socket."""

    def __init__(self, directory: Path, admin_socket: Path, visitor: Visitor) -> None:
        self._directory = directory
        self._routes = directory / ROUTES
        self._list = directory / CERTIFICATE_LIST
        self._runtime = RuntimeInterface(admin_socket)
        self._visitor = visitor

    def ensure_route(self, route: Route) -> None:
        """Serve the hostname so; it answers when this returns."""
        value = _value(check_route(route))
        with self._locked():
            routes = self._read_routes()
            if routes.get(route.hostname) != value:
                self._write_routes({**routes, route.hostname: value})
            key = f"{self._routes} {route.hostname}"
            if not self._run(f"set map {key} {value}", known="entry not found"):
                self._run(f"add map {key} {value}")

    def remove_route(self, hostname: str) -> None:
        """Forget the hostname; nothing happens if it is not known."""
        check_hostname(hostname)
        with self._locked():
            routes = self._read_routes()
            if routes.pop(hostname, None) is not None:
                self._write_routes(routes)
            self._run(f"del map {self._routes} {hostname}", known="not found")

    def list_routes(self) -> Iterable[Route]:
        """List what haproxy's memory holds."""
        return [_route(hostname, value) for hostname, value in self._list_running()]

    def replace_routes(self, routes: Iterable[Route]) -> None:
        """Make exactly these the routes, in one atomic switch; nothing is done if they are."""
        wanted = {route.hostname: _value(check_route(route)) for route in routes}
        with self._locked():
            if self._read_routes() != wanted:
                self._write_routes(wanted)
            if sorted(self._list_running()) == sorted(wanted.items()):
                return
            version = self._prepare_map()
            for batch in list_batches(f"{name} {value}" for name, value in wanted.items()):
                self._run(f"add map @{version} {self._routes}", batch)
            self._run(f"commit map @{version} {self._routes}")

    def ensure_certificate(self, certificate: Certificate) -> None:
        """Serve the certificate. Raises Refused (`certificate_unusable`) if its parts differ."""
        name = check_certificate_name(certificate.name)
        folder = self._directory / _CERTIFICATES
        path = folder / f"{name.replace('*', '_')}.pem"
        pem = _clean_pem(certificate)
        with self._locked():
            try:
                folder.mkdir(mode=0o750, exist_ok=True)
                self._write_certificate(path, pem)
                self._list_certificate(path)
            except OSError as error:
                raise Unavailable("edge_files", reason=str(error)) from error
            self._load_certificate(path, pem)

    def observe(self, hostname: str, path: str = "/") -> Answer:
        """Ask the edge over HTTPS as a visitor would, checking the certificate."""
        return self._visitor.visit(hostname, path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Each caller opens the file for itself, so this holds between threads and processes.
        try:
            descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Unavailable("edge_files", reason=str(error)) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _run(self, command: str, payload: Iterable[str] = (), known: str = "") -> bool:
        """Run a silent command; return False if it answered what is `known` to be no failure."""
        answer = self._runtime.run(command, payload)
        if known and known in answer:
            return False
        if answer:
            raise Unavailable("edge_command_failed", answer=answer[:200])
        return True

    def _list_running(self) -> list[tuple[str, str]]:
        answer = self._runtime.run(f"show map {self._routes}")
        return [_pair(line.partition(" ")[2]) for line in answer.splitlines()]

    def _prepare_map(self) -> int:
        answer = self._runtime.run(f"prepare map {self._routes}")
        _, _, version = answer.rpartition(" ")
        if not version.isdecimal():
            raise Unavailable("edge_command_failed", answer=answer[:200])
        return int(version)

    def _read_routes(self) -> dict[str, str]:
        try:
            text = self._routes.read_text(encoding="ascii")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise Unavailable("edge_files", reason=str(error)) from error
        return dict(_pair(line) for line in text.splitlines())

    def _write_routes(self, routes: dict[str, str]) -> None:
        text = "".join(f"{hostname} {value}\n" for hostname, value in routes.items())
        try:
            _replace(self._routes, text)
        except OSError as error:
            raise Unavailable("edge_files", reason=str(error)) from error

    def _write_certificate(self, path: Path, pem: str) -> None:
        if path.exists() and path.read_text(encoding="ascii") == pem:
            return
        draft = _draft(path, pem)
        try:
            # haproxy would refuse to start with a key that isn't the certificate's.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(draft)
            draft.replace(path)
        except ssl.SSLError as error:
            draft.unlink()
            raise Refused("certificate_unusable", reason=str(error)) from error

    def _list_certificate(self, path: Path) -> None:
        lines = self._list.read_text(encoding="ascii").splitlines() if self._list.exists() else []
        if str(path) not in lines:
            _replace(self._list, "".join(f"{line}\n" for line in [*lines, str(path)]))

    def _load_certificate(self, path: Path, pem: str) -> None:
        shown = self._runtime.run(f"show ssl cert {path}")
        if "Serial:" not in shown:
            self._expect(f"new ssl cert {path}", ("New empty certificate store", "already exists"))
        self._expect(f"set ssl cert {path}", ("ransaction",), pem.splitlines())
        self._expect(f"commit ssl cert {path}", ("Success!",))
        listed = self._runtime.run(f"show ssl crt-list {self._list}").splitlines()
        if str(path) not in [line.partition(" ")[0] for line in listed]:
            self._expect(f"add ssl crt-list {self._list} {path}", ("Success!",))

    def _expect(self, command: str, wanted: tuple[str, ...], payload: Iterable[str] = ()) -> None:
        answer = self._runtime.run(command, payload)
        if not any(part in answer for part in wanted):
            raise Unavailable("edge_command_failed", answer=answer[:200])


def _value(route: Route) -> str:
    return f"{route.state}:{route.address or _NO_ADDRESS}:{route.port}"


def _pair(line: str) -> tuple[str, str]:
    # Total on purpose: a line that isn't ours differs from every wish, and is replaced.
    hostname, _, value = line.partition(" ")
    return hostname, value


def _route(hostname: str, value: str) -> Route:
    try:
        state, address, port = value.split(":")
        ours = None if address == _NO_ADDRESS else IPv4Address(address)
        return Route(hostname, RouteState(state), ours, int(port))
    except ValueError as error:
        raise Unavailable("edge_route_unreadable", hostname=hostname, value=value) from error


def _clean_pem(certificate: Certificate) -> str:
    """Return chain and key without empty lines: one would end the payload."""
    lines = f"{certificate.chain_pem}\n{certificate.key_pem}".splitlines()
    pem = "".join(f"{line.strip()}\n" for line in lines if line.strip())
    if not pem.isascii():
        raise Refused("certificate_unusable", reason="not PEM")
    return pem


def _replace(path: Path, text: str) -> None:
    _draft(path, text).replace(path)


def _draft(path: Path, text: str) -> Path:
    """Write a file beside its place, in the folder's group; a power cut leaves old or new."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _KEY_MODE)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        os.fchmod(descriptor, _KEY_MODE)  # whatever the umask
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)
    return draft

"""The cloud on one machine: asks the root daemon `locald` over its Unix socket.

Knows the daemon's protocol and the receiver's, and no kernel: what comes out of a server is
hostile, so it is bounded and parsed with care.
"""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from control_plane.kit.errors import Refused, Unavailable
from control_plane.kit.unix import Daemon, new_request
from control_plane.ports.cloud import logs
from control_plane.ports.cloud.port import (
    Access,
    CheckResult,
    CloudObject,
    ConfigurationFact,
    Fence,
    Image,
    LogFact,
    ProbeReport,
    ReleaseSpec,
    ServerFact,
    ServerSpec,
    ServerState,
    Target,
    TenantSpec,
    WireFact,
    WireSpec,
)

_CHUNK = 1 << 20
_OUTPUT_MAX = 32 << 20  # 200,000 missing digests are 13 MB
_TIMEOUT_S = 120.0  # longer than the daemon waits for any part of a server
_LONG_S = 2000.0  # longer than the daemon lets a receiver run
RUNS_SOCKET = "locald-runs.sock"  # beside the daemon's own
# The next try finds out what is missing, or what has become of it.
_AGAIN = frozenset({"stream_cut", "release_preparing", "release_unsettled"})

Write = Callable[[bytes], object]
Feed = Callable[[Write], None]


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of the receiver inside a server."""

    server_id: str
    name: str
    arguments: Sequence[str] = ()
    fence: Fence | None = None


class _Feeder(threading.Thread):
    """Writes a receiver's input while its output is read, and keeps what went wrong."""

    def __init__(self, handle: int, feed: Feed) -> None:
        super().__init__(name="feeder", daemon=True)
        self._handle, self._feed = handle, feed
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Write all, unless the receiver ends before."""
        try:
            with os.fdopen(self._handle, "wb", _CHUNK) as pipe, suppress(BrokenPipeError):
                self._feed(pipe.write)
                pipe.flush()
        except BrokenPipeError:
            return  # closing tries to write once more; the receiver's answer says why it ended
        except BaseException as failure:  # noqa: BLE001  # raised again by the caller
            self.failure = failure


class LocalCloud:
    """A region on this machine. `epoch` marks what is made, as the database counts epochs."""

    def __init__(self, socket_path: Path, epoch: int = 1) -> None:
        self._daemon = Daemon(socket_path, silent="locald_not_answering")
        self._epoch = epoch

    def _ask(self, verb: str, timeout_s: float = _TIMEOUT_S, **fields: Any) -> Any:
        return self._daemon.ask(verb, timeout_s, fields)

    def ensure_tenant(self, spec: TenantSpec, fence: Fence) -> None:
        """Remember the tenant; its servers' links are its network."""
        wish = {**asdict(spec), "epoch": self._epoch}
        self._ask("ensure_tenant", spec=wish, fence=asdict(fence))

    def destroy_tenant(self, tenant_id: str, fence: Fence) -> None:
        """Forget an empty tenant. Raises Refused (`tenant_not_empty`)."""
        self._ask("destroy_tenant", tenant_id=tenant_id, fence=asdict(fence))

    def ensure_server(self, spec: ServerSpec, fence: Fence) -> ServerFact:
        """Make or mend the server; see the port."""
        wish = {**asdict(spec), "address": str(spec.address), "epoch": self._epoch}
        return _fact(self._ask("ensure_server", spec=wish, fence=asdict(fence)))

    def observe_server(self, server_id: str) -> ServerFact:
        """Say what is there now; see the port."""
        return _fact(self._ask("observe_server", server_id=server_id))

    def inspect_server(self, server_id: str) -> ConfigurationFact:
        """Ask the server's receiver; what it says is bounded, and compared but never followed."""
        try:
            found = _answer(self._receive(_Call(server_id, "inspect"), _lines(())))
        except Refused as refused:
            if refused.code == "bad_verb":  # of an older image
                return ConfigurationFact("")
            raise
        down = found.get("down")
        names = [str(name)[:32] for name in down[:32]] if isinstance(down, list) else []
        return ConfigurationFact(str(found.get("digest", ""))[:64], tuple(names))

    def read_logs(self, server_id: str, marks: Mapping[str, str]) -> LogFact:
        """Ask the server's receiver; what it says is bounded, and shown but never followed."""
        asked = _lines((json.dumps(dict(marks)),))
        try:
            return logs.parsed(_answer(self._receive(_Call(server_id, "logs"), asked)))
        except Refused as refused:
            if refused.code == "bad_verb":  # of an older image
                return LogFact()
            raise

    def stop_server(self, server_id: str, fence: Fence) -> None:
        """Stop the server and keep its disk."""
        self._ask("stop_server", server_id=server_id, fence=asdict(fence))

    def destroy_server(self, server_id: str, fence: Fence) -> None:
        """Remove the server and its disk."""
        self._ask("destroy_server", server_id=server_id, fence=asdict(fence))

    def ensure_wire(self, spec: WireSpec, fence: Fence) -> WireFact:
        """Open the one port of the one server to the other; see the port."""
        return _wire(self._ask("ensure_wire", spec=asdict(spec), fence=asdict(fence)))

    def observe_wire(self, spec: WireSpec) -> WireFact:
        """Say what is there of a wire; see the port."""
        return _wire(self._ask("observe_wire", spec=asdict(spec)))

    def remove_wire(self, wire_id: str, fence: Fence) -> None:
        """Close what the wire opened."""
        self._ask("remove_wire", wire_id=wire_id, fence=asdict(fence))

    def list_objects(self) -> Iterable[CloudObject]:
        """List tenants and servers."""
        return [CloudObject(**item) for item in self._ask("list_objects")]

    def list_images(self) -> Iterable[Image]:
        """List prepared images, the newest of a family first."""
        return [Image(**item) for item in self._ask("list_images")]

    def probe_isolation(self, server_id: str, targets: Sequence[Target]) -> ProbeReport:
        """Try the targets and what the daemon knows: edge, host, neighbours, outside."""
        wished = [asdict(target) for target in targets]
        report = self._ask("probe", server_id=server_id, targets=wished)
        return ProbeReport(
            controls_passed=report["controls_passed"],
            reached=tuple(report["reached"]),
            tried=tuple(report["tried"]),
        )

    def list_missing_blobs(self, server_id: str, digests: Iterable[str]) -> frozenset[str]:
        """Say which blobs the server does not have yet."""
        wished = frozenset(digests)
        output = self._receive(_Call(server_id, "missing"), _lines(sorted(wished)))
        return frozenset(output.decode("ascii", "replace").split()) & wished

    def put_blobs(self, server_id: str, blobs: Iterator[tuple[str, Path]], fence: Fence) -> None:
        """Stream all blobs through one call. Raises Refused (`disk_full`, `digest_mismatch`)."""

        def feed(write: Write) -> None:
            for digest, path in blobs:
                with path.open("rb") as file:
                    write(f"{digest} {os.fstat(file.fileno()).st_size}\n".encode())
                    while chunk := file.read(_CHUNK):
                        write(chunk)
            write(b"end\n")

        _answer(self._receive(_Call(server_id, "put", (), fence), feed))

    def assemble_release(self, server_id: str, spec: ReleaseSpec, fence: Fence) -> None:
        """Build the deployment beside the live one. Raises Refused (`blob_missing`)."""
        about = {
            "deployment": spec.deployment_id,
            "manifest": spec.manifest_digest,
            "nonce": spec.nonce,
        }
        lines = (json.dumps(line) for line in (about, *(asdict(file) for file in spec.files)))
        _answer(self._receive(_Call(server_id, "assemble", (), fence), _lines(lines)))

    def check_release(self, server_id: str, deployment_id: str, path: str) -> CheckResult:
        """Ask the assembled release for its nonce and for `path`, on the inner port."""
        call = _Call(server_id, "check", (deployment_id, path))
        found = _answer(self._receive(call, _lines(())))
        return CheckResult(found.get("passed") is True, str(found.get("output", ""))[:4096])

    def switch_release(self, server_id: str, deployment_id: str, fence: Fence) -> None:
        """Make the assembled release the live one, atomically."""
        call = _Call(server_id, "switch", (deployment_id,), fence)
        _answer(self._receive(call, _lines(())))

    def prune_releases(self, server_id: str, keep: Iterable[str], fence: Fence) -> None:
        """Forget deployments that are not kept, and blobs that nothing uses."""
        _answer(self._receive(_Call(server_id, "prune", (), fence), _lines(sorted(keep))))

    def open_run(self, server_id: str, run_id: str, lasts: timedelta, fence: Fence) -> Access:
        """Get a ticket, with which the runner commands the server through the daemon."""
        about: dict[str, Any] = {"server_id": server_id, "run_id": run_id, "fence": asdict(fence)}
        ticket = self._ask("open_run", lasts_s=int(lasts.total_seconds()), **about)["ticket"]
        variables: dict[str, str | int] = {
            "ansible_connection": "edubba_local",
            "edubba_local_socket": str(self._daemon.path.with_name(RUNS_SOCKET)),
            "edubba_local_run": run_id,
        }
        return Access(server_id, variables, {"edubba_local_ticket": ticket})

    def close_run(self, run_id: str, fence: Fence) -> None:
        """Take the tickets back; what was still being done is killed."""
        self._ask("close_run", run_id=run_id, fence=asdict(fence))

    def _receive(self, call: _Call, feed: Feed) -> bytes:
        """Call the receiver and return what it wrote; `feed` gives it its input."""
        fields: dict[str, Any] = {"call": call.name, "arguments": list(call.arguments)}
        if call.fence:
            fields["fence"] = asdict(call.fence)
        with self._daemon.connection(_LONG_S) as connection, ExitStack() as pipes:
            in_read, in_write = os.pipe()
            out_read, out_write = os.pipe()
            output = pipes.enter_context(os.fdopen(out_read, "rb", 0))
            request = new_request("receive", {"server_id": call.server_id, **fields})
            try:
                socket.send_fds(connection, [request], [in_read, out_write])
            finally:
                os.close(in_read)
                os.close(out_write)
            feeder = _Feeder(in_write, feed)
            feeder.start()
            text = _read_bounded(output)
            output.close()  # a receiver that writes on without end is ended by that
            feeder.join()
            outcome = self._daemon.result(connection)
        if feeder.failure:
            raise feeder.failure
        if outcome["timed_out"]:
            raise Unavailable("receiver_timed_out", server=call.server_id)
        if outcome["code"] and not text.lstrip().startswith(b'{"error"'):
            raise Unavailable("receiver_failed", call=call.name, why=outcome["err"][-500:])
        return text


def _read_bounded(output: Any) -> bytes:
    """Read to the end, or to what no honest receiver writes."""
    chunks, size = [], 0
    while size < _OUTPUT_MAX and (chunk := output.read(_CHUNK)):
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)


def _lines(lines: Iterable[str]) -> Feed:
    def feed(write: Write) -> None:
        for line in lines:
            write(line.encode() + b"\n")
        write(b"end\n")

    return feed


def _answer(text: bytes) -> dict[str, Any]:
    """Return the receiver's answer. Raises Refused or Unavailable as it says."""
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise Unavailable("receiver_failed", why=text[-200:].decode(errors="replace"))
    code = answer.get("error")
    if code is None:
        return answer
    family = Unavailable if code in _AGAIN else Refused
    known = {key: str(value)[:200] for key, value in answer.items() if key != "error"}
    raise family(str(code)[:64], **{key: value for key, value in known.items() if key != "code"})


def _fact(found: Mapping[str, Any]) -> ServerFact:
    return ServerFact(
        server_id=found["server_id"],
        state=ServerState(found["state"]),
        address=IPv4Address(found["address"]) if found["address"] else None,
        image=found["image"],
        reasons=tuple(found["reasons"]),
    )


def _wire(found: Mapping[str, Any]) -> WireFact:
    address = IPv4Address(found["address"]) if found["address"] else None
    return WireFact(found["wire_id"], address, found["is_whole"])

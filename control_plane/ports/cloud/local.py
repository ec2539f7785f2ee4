"""The cloud on one machine: asks the root daemon `locald` over its Unix socket.

Knows the daemon's protocol and the receiver's, and no kernel: what comes out of a server is
hostile, so it is bounded and parsed with care.
"""

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from control_plane.kit.errors import Unavailable
from control_plane.kit.unix import Daemon, new_request
from control_plane.ports.cloud.port import (
    Access,
    CloudObject,
    Fence,
    Image,
    ProbeReport,
    ServerFact,
    ServerSpec,
    ServerState,
    Target,
    TenantSpec,
    WireFact,
    WireSpec,
)
from control_plane.ports.cloud.receiver import Call, Feed, Feeder, ThroughReceiver, read_bounded

_CHUNK = 1 << 20
_TIMEOUT_S = 120.0  # longer than the daemon waits for any part of a server
_LONG_S = 2000.0  # longer than the daemon lets a receiver run
RUNS_SOCKET = "locald-runs.sock"  # beside the daemon's own


class LocalCloud(ThroughReceiver):
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

    def receive(self, call: Call, feed: Feed) -> bytes:
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
            feeder = Feeder(in_write, feed)
            feeder.start()
            text = read_bounded(output)
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

"""A cloud in memory: honest about fences, limits, digests and isolation, with nothing behind it.

It passes the contract suite of the real ones, serves what was released to the memory edge, and
lets a test break what breaks in life: `sabotage` changes the world, never the adapter's answers.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path

from control_plane.kit import clock
from control_plane.kit.errors import Refused, Unavailable
from control_plane.ports.cloud.memory_world import (
    Run,
    Served,
    Server,
    Wire,
    check_path,
    ends_of,
    read_logs,
    serve,
)
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

MIB = 1024 * 1024
_WIRES = IPv4Address("100.96.0.0")
__all__ = ["STATIC_SITE", "MemoryCloud", "Server"]

STATIC_SITE = Image("static-site", "sha256:" + hashlib.sha256(b"memory static-site").hexdigest())


class MemoryCloud:
    """A region without machines; see `port.Cloud`.

    From outside, a server's address is `beyond` the one that was allocated: two regions give out
    the same ones.
    """

    def __init__(
        self, images: Iterable[Image] = (STATIC_SITE,), epoch: int = 1, *, beyond: int = 0
    ) -> None:
        self._images, self._epoch, self._beyond = tuple(images), epoch, beyond
        self._tenants: dict[str, TenantSpec] = {}
        self._servers: dict[str, Server] = {}
        self._wires: dict[str, Wire] = {}
        self._counters: dict[str, int] = {}
        self._runs: dict[tuple[str, str], Run] = {}
        self._lock = threading.RLock()

    def ensure_tenant(self, spec: TenantSpec, fence: Fence) -> None:
        """Make the tenant's space, or adopt it."""
        with self._fenced(fence):
            self._tenants[spec.tenant_id] = spec

    def destroy_tenant(self, tenant_id: str, fence: Fence) -> None:
        """Remove an empty tenant's space."""
        with self._fenced(fence):
            if any(s.spec.tenant_id == tenant_id for s in self._servers.values()):
                raise Refused("tenant_not_empty", tenant=tenant_id)
            self._tenants.pop(tenant_id, None)

    def ensure_server(self, spec: ServerSpec, fence: Fence) -> ServerFact:
        """Make the server as specified, start it, mend what drifted; keep its data."""
        with self._fenced(fence):
            if spec.tenant_id not in self._tenants:
                raise Refused("tenant_missing", tenant=spec.tenant_id)
            if spec.image not in {image.digest for image in self._images}:
                raise Refused("image_missing", image=spec.image)
            self._check_allocation(spec)
            server = self._servers.setdefault(spec.server_id, Server(spec))
            if not server.is_running:
                self._drop_wires(spec.server_id)
            server.spec, server.is_running, server.is_leaking = spec, True, False
            return self.observe_server(spec.server_id)

    def observe_server(self, server_id: str) -> ServerFact:
        """Say what is there now."""
        with self._lock:
            server = self._servers.get(server_id)
            if server is None:
                return ServerFact(server_id, ServerState.ABSENT)
            state = ServerState.RUNNING if server.is_running else ServerState.STOPPED
            address = server.spec.address + self._beyond
            return ServerFact(server_id, state, address, server.spec.image)

    def inspect_server(self, server_id: str) -> ConfigurationFact:
        """Look at what was configured inside."""
        with self._lock:
            server = self._running(server_id)
            digest = hashlib.sha256(server.configuration.encode()).hexdigest()
            return ConfigurationFact(digest, server.down)

    def read_logs(self, server_id: str, marks: Mapping[str, str]) -> LogFact:
        """Read what its services wrote since then."""
        with self._lock:
            return read_logs(self._running(server_id), marks)

    def stop_server(self, server_id: str, fence: Fence) -> None:
        """Stop the server and keep its data."""
        with self._fenced(fence):
            if server_id in self._servers:
                self._servers[server_id].is_running = False
                self._drop_wires(server_id)

    def destroy_server(self, server_id: str, fence: Fence) -> None:
        """Remove the server and its data for good."""
        with self._fenced(fence):
            self._servers.pop(server_id, None)
            for wire in self._wires_of(server_id):
                del self._wires[wire.spec.wire_id]

    def ensure_wire(self, spec: WireSpec, fence: Fence) -> WireFact:
        """Open the one port of the one server to the other."""
        with self._fenced(fence):
            self._check_ends(spec)
            known = self._wires.get(spec.wire_id)
            if known and ends_of(known.spec) != ends_of(spec):
                raise Refused("wire_identity_changed", wire=spec.wire_id)
            wire = known or Wire(spec, self._free_address())
            self._wires[spec.wire_id] = wire
            wire.spec, wire.is_up = spec, True
            return self.observe_wire(spec)

    def observe_wire(self, spec: WireSpec) -> WireFact:
        """Say what is there of a wire."""
        with self._lock:
            wire = self._wires.get(spec.wire_id)
            if wire is None:
                return WireFact(spec.wire_id, None, is_whole=False)
            return WireFact(spec.wire_id, wire.address, wire.spec == spec and self._carries(wire))

    def remove_wire(self, wire_id: str, fence: Fence) -> None:
        """Close what the wire opened."""
        with self._fenced(fence):
            self._wires.pop(wire_id, None)

    def list_objects(self) -> Iterable[CloudObject]:
        """List everything there is."""
        with self._lock:
            tenants = [
                CloudObject("tenant", t.tenant_id, t.tenant_id, self._epoch, holds_data=False)
                for t in self._tenants.values()
            ]
            servers = [
                CloudObject("server", s.spec.server_id, s.spec.tenant_id, self._epoch, s.holds_data)
                for s in self._servers.values()
            ]
            return [*tenants, *servers]

    def list_images(self) -> Iterable[Image]:
        """List the images given at construction."""
        return self._images

    def probe_isolation(self, server_id: str, targets: Sequence[Target]) -> ProbeReport:
        """Try the targets, and every other server, from inside this one."""
        with self._lock:
            server = self._running(server_id)
            tried = [t.name for t in targets]
            tried += sorted(other for other in self._servers if other != server_id)
            reached = tuple(tried) if server.is_leaking else ()
            return ProbeReport(controls_passed=True, reached=reached, tried=tuple(tried))

    def list_missing_blobs(self, server_id: str, digests: Iterable[str]) -> frozenset[str]:
        """Say which blobs the server does not have yet."""
        with self._lock:
            return frozenset(digests) - self._running(server_id).blobs.keys()

    def put_blobs(self, server_id: str, blobs: Iterator[tuple[str, Path]], fence: Fence) -> None:
        """Carry blobs into the server, digest by digest."""
        with self._fenced(fence):
            self._running(server_id).holds_data = True
        for digest, path in blobs:
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != digest:
                raise Refused("digest_mismatch", digest=digest)
            with self._fenced(fence):
                server = self._running(server_id)
                used = sum(len(blob) for blob in server.blobs.values())
                if used + len(content) > server.spec.limits.disk_mib * MIB:
                    raise Refused("disk_full", disk_mib=server.spec.limits.disk_mib)
                server.blobs[digest] = content

    def assemble_release(self, server_id: str, spec: ReleaseSpec, fence: Fence) -> None:
        """Build the release beside the live one."""
        with self._fenced(fence):
            server = self._running(server_id)
            for file in spec.files:
                check_path(file.path)
            lacking = {f.digest for f in spec.files} - server.blobs.keys()
            if lacking:
                raise Refused("blob_missing", digest=min(lacking))
            server.releases[spec.deployment_id] = spec
            server.holds_data = True

    def check_release(self, server_id: str, deployment_id: str, path: str) -> CheckResult:
        """Ask the assembled release for a path."""
        with self._lock:
            server = self._running(server_id)
            if deployment_id not in server.releases:
                raise Refused("release_missing", deployment=deployment_id)
            if server.is_preparing:
                raise Unavailable("release_preparing", deployment=deployment_id)
            status, _, _ = serve(server, deployment_id, path)
            return CheckResult(passed=status < 400, output=f"GET {path}: {status}")  # noqa: PLR2004

    def switch_release(self, server_id: str, deployment_id: str, fence: Fence) -> None:
        """Make the assembled release the live one."""
        with self._fenced(fence):
            server = self._running(server_id)
            if deployment_id not in server.releases:
                raise Refused("release_missing", deployment=deployment_id)
            server.live = deployment_id

    def prune_releases(self, server_id: str, keep: Iterable[str], fence: Fence) -> None:
        """Forget what is neither kept nor live."""
        with self._fenced(fence):
            server = self._running(server_id)
            kept = {*keep, server.live}
            server.releases = {k: v for k, v in server.releases.items() if k in kept}
            used = {f.digest for spec in server.releases.values() for f in spec.files}
            server.blobs = {k: v for k, v in server.blobs.items() if k in used}

    def open_run(self, server_id: str, run_id: str, lasts: timedelta, fence: Fence) -> Access:
        """Let a run command a server for a time."""
        with self._fenced(fence):
            self._running(server_id).holds_data = True
            run = self._runs.setdefault((run_id, server_id), Run(fence))
            run.fence, run.until = fence, clock.now() + lasts
            return Access(server_id, {"ansible_connection": "memory"}, {"ticket": run.ticket})

    def close_run(self, run_id: str, fence: Fence) -> None:
        """End a run's access to all servers."""
        with self._fenced(fence):
            self._runs = {key: run for key, run in self._runs.items() if key[0] != run_id}

    def may_command(self, server_id: str, run_id: str, ticket: str) -> bool:
        """Whether a run with this ticket could command the server now."""
        with self._lock:
            run = self._runs.get((run_id, server_id))
            if run is None or run.ticket != ticket or clock.now() >= run.until:
                return False
            return run.fence.counter >= self._counters[run.fence.life_id]

    def serve(self, address: IPv4Address, path: str) -> Served:
        """Answer as the server at the address does. Raises Unavailable if none is running there."""
        with self._lock:
            for server in self._servers.values():
                if server.spec.address + self._beyond == address and server.is_running:
                    return serve(server, server.live, path)
        raise Unavailable("server_unreachable", address=str(address))

    def may_connect(self, server_id: str, address: IPv4Address, port: int) -> bool:
        """Whether a program in this server could connect there by one of its wires."""
        with self._lock:
            return any(
                (wire.spec.from_server, wire.address, wire.spec.port) == (server_id, address, port)
                for wire in self._wires.values()
                if self._carries(wire)
            )

    def server(self, server_id: str) -> Server:
        """Return a server as it is in this world, for whoever looks from outside."""
        return self._servers[server_id]

    def sabotage(self, server_id: str, change: Callable[[Server], None] | None) -> None:
        """Change a server behind the product's back, or (None) make it vanish with its data."""
        with self._lock:
            if change is None:
                del self._servers[server_id]
            else:
                change(self._servers[server_id])

    def state(self) -> str:
        """Return the whole world as JSON, to compare two of them."""
        with self._lock:
            servers = {
                k: [s.is_running, s.live, sorted(s.releases), sorted(s.blobs), str(s.spec.address)]
                for k, s in sorted(self._servers.items())
            }
            wires = sorted(key for key, wire in self._wires.items() if self._carries(wire))
            tenants = sorted(self._tenants)
            return json.dumps({"tenants": tenants, "servers": servers, "wires": wires})

    def _wires_of(self, server_id: str) -> list[Wire]:
        return [wire for wire in self._wires.values() if server_id in ends_of(wire.spec)]

    def _drop_wires(self, server_id: str) -> None:
        for wire in self._wires_of(server_id):
            wire.is_up = False

    def _carries(self, wire: Wire) -> bool:
        ends = [self._servers.get(server_id) for server_id in ends_of(wire.spec)]
        return wire.is_up and all(server is not None and server.is_running for server in ends)

    def _check_ends(self, spec: WireSpec) -> None:
        ends = ends_of(spec)
        known = [self._servers[server_id] for server_id in ends if server_id in self._servers]
        foreign = any(server.spec.tenant_id != spec.tenant_id for server in known)
        if foreign or len(set(ends)) == 1:
            raise Refused("wire_refused", wire=spec.wire_id)
        for server_id in ends:
            self._running(server_id)

    def _free_address(self) -> IPv4Address:
        taken = {wire.address for wire in self._wires.values()}
        return next(a for a in (_WIRES + 2 * n + 1 for n in count(1)) if a not in taken)

    def _check_allocation(self, spec: ServerSpec) -> None:
        for server in self._servers.values():
            other = server.spec
            is_same = other.server_id == spec.server_id
            if not is_same and other.serial == spec.serial:
                raise Refused("allocation_taken", serial=spec.serial, by=other.server_id)
            if is_same and (other.serial, other.tenant_id) != (spec.serial, spec.tenant_id):
                raise Refused("server_identity_changed", server=spec.server_id)
            if is_same and other.limits.disk_mib > spec.limits.disk_mib:
                raise Refused("disk_cannot_shrink", from_mib=other.limits.disk_mib)

    def _running(self, server_id: str) -> Server:
        server = self._servers.get(server_id)
        if server is None or not server.is_running:
            raise Unavailable("server_unreachable", server=server_id)
        return server

    def _fenced(self, fence: Fence) -> threading.RLock:
        with self._lock:
            if fence.counter < self._counters.get(fence.life_id, 0):
                raise Refused("stale_fence", life=fence.life_id, counter=fence.counter)
            self._counters[fence.life_id] = fence.counter
        return self._lock

"""The cloud: where tenants and their servers are made, observed and destroyed.

Every `ensure_…` looks up before it creates and adopts what is ours, so that repeating it after a
crash is safe. Names derive from our ids; objects carry the installation's id and epoch. A call
that changes anything carries the fence of the life that makes it; an older fence is refused.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol

LOG_LINE_MAX = 4096  # bytes: longer than any line that people read
LOG_BYTES_MAX = 128 * 1024  # one look's: some hundred lines of each service


@dataclass(frozen=True, slots=True)
class Fence:
    """The lease under which a change is made: `counter` grows each time `life_id` is claimed."""

    life_id: str
    counter: int


@dataclass(frozen=True, slots=True)
class TenantSpec:
    """An agency's isolated space in one region."""

    tenant_id: str
    agency_id: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server may use at most."""

    memory_mib: int
    cpu_millis: int  # thousandths of one core
    pids: int
    disk_mib: int


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """One server of a tenant, complete enough to make it again from nothing.

    `serial`, `uid_base` and `address` come from the allocation row and are unique in the region;
    `image` is the digest (`sha256:…`) of a prepared image that `list_images` named.
    """

    server_id: str
    tenant_id: str
    image: str
    limits: Limits
    serial: int
    uid_base: int
    address: IPv4Address


class ServerState(StrEnum):
    """What an observation found; `degraded` runs, but differs from its specification."""

    RUNNING = "running"
    DEGRADED = "degraded"
    STOPPED = "stopped"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class ServerFact:
    """What was seen of a server; `reasons` say in one word each what is not as specified."""

    server_id: str
    state: ServerState
    address: IPv4Address | None = None
    image: str | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConfigurationFact:
    """What was seen of a server's inside: one digest of its configuration, and what is down.

    The digest is empty where the server's image is too old to tell; it is for comparing with an
    earlier look alone. `down` names services that should run.
    """

    digest: str
    down: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a service wrote, as it came: a tenant may have put anything into it.

    `at` is by the server's clock, None where the line has no time; `text` has LOG_LINE_MAX bytes
    at most, and `is_cut` says that there was more.
    """

    service: str
    at: datetime | None
    text: str
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class LogFact:
    """What services wrote, the oldest first, and by service how far that was told.

    `lost` are the bytes before a service's first line here that were passed over: more was written
    than is told at once, or than the server keeps.
    """

    lines: Sequence[LogLine] = ()
    marks: Mapping[str, str] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WireSpec:
    """The way from one server to one port of another of the same tenant.

    `wire_id` is the attachment's.
    """

    wire_id: str
    tenant_id: str
    from_server: str
    to_server: str
    port: int


@dataclass(frozen=True, slots=True)
class WireFact:
    """What was seen of a wire; `is_whole` when all of it is as specified.

    `address` is where its client finds the other server. It stays the same until the wire is
    removed, since it stands in an application's configuration.
    """

    wire_id: str
    address: IPv4Address | None
    is_whole: bool


@dataclass(frozen=True, slots=True)
class CloudObject:
    """Anything in the cloud that carries our tag, claimed by a row or not.

    `kind` is `tenant` or `server` (adapters may list finer kinds); `holds_data` is true once a
    release or other tenant data was ever written to it.
    """

    kind: str
    object_id: str
    tenant_id: str
    epoch: int
    holds_data: bool


@dataclass(frozen=True, slots=True)
class Target:
    """An address that a server must not reach; `name` says what it is, for the report."""

    name: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What a probe from inside a server found.

    `controls_passed` is true only if the probe could reach what it must reach (its own listener):
    a probe that can't connect at all proves nothing. `reached` names the targets that answered.
    """

    controls_passed: bool
    reached: tuple[str, ...]
    tried: tuple[str, ...]

    @property
    def is_isolated(self) -> bool:
        """Whether the probe worked and nothing forbidden answered."""
        return self.controls_passed and not self.reached


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """One file of a release: `path` is relative, in NFC; `digest` is SHA-256 in hex."""

    path: str
    digest: str
    size: int
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class ReleaseSpec:
    """A deployment to assemble in a server: its files, and the nonce that proves it is served."""

    deployment_id: str
    manifest_digest: str
    nonce: str
    files: Sequence[ReleaseFile] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of checking an assembled release before it goes live."""

    passed: bool
    output: str  # at most 4 KiB, what a person needs to see


@dataclass(frozen=True, slots=True)
class Access:
    """How one run reaches one server.

    `variables` are Ansible's own (`ansible_connection` …) and of no use without `secrets`, which
    open this server for this run alone.
    """

    server_id: str
    variables: Mapping[str, str | int]
    secrets: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Image:
    """A prepared image: `family` is what blueprints name, `digest` what a plan records."""

    family: str
    digest: str


class Cloud(Protocol):
    """A region. Raises `Unavailable` or `Refused`; blocking; safe to call from several threads."""

    def ensure_tenant(self, spec: TenantSpec, fence: Fence) -> None:
        """Make the tenant's space, or adopt it."""

    def destroy_tenant(self, tenant_id: str, fence: Fence) -> None:
        """Remove an empty tenant's space; nothing happens if it is gone.

        Raises `Refused` (`tenant_not_empty`) while a server is left in it.
        """

    def ensure_server(self, spec: ServerSpec, fence: Fence) -> ServerFact:
        """Make the server as specified, start it, mend what drifted; keep its data."""

    def observe_server(self, server_id: str) -> ServerFact:
        """Say what is there now; `ABSENT` if nothing is."""

    def inspect_server(self, server_id: str) -> ConfigurationFact:
        """Look at what was configured inside a running server."""

    def read_logs(self, server_id: str, marks: Mapping[str, str]) -> LogFact:
        """Read what a running server's services wrote since these marks, which a look before gave.

        At most LOG_BYTES_MAX, the newest, shared between the services; empty where the server's
        image is too old to tell.
        """

    def stop_server(self, server_id: str, fence: Fence) -> None:
        """Stop the server's processes and keep its data.

        Its wires are down until `ensure_wire` is called again, also where the server was started
        anew; they keep their addresses.
        """

    def destroy_server(self, server_id: str, fence: Fence) -> None:
        """Remove the server, its data and its wires for good; nothing happens if it is gone."""

    def ensure_wire(self, spec: WireSpec, fence: Fence) -> WireFact:
        """Open the one port of the one server to the other, and nothing else; mend what drifted.

        Raises `Unavailable` (`server_unreachable`) where one of the two does not run, and `Refused`
        where they are not two servers of that tenant (`wire_refused`) or not those of before
        (`wire_identity_changed`).
        """

    def observe_wire(self, spec: WireSpec) -> WireFact:
        """Say what is there of a wire; no address and not whole where nothing is."""

    def remove_wire(self, wire_id: str, fence: Fence) -> None:
        """Close what the wire opened, and forget its address; nothing happens if it is gone."""

    def list_objects(self) -> Iterable[CloudObject]:
        """List everything that carries this installation's tag."""

    def list_images(self) -> Iterable[Image]:
        """List the prepared images that servers can be made from, newest of a family first."""

    def probe_isolation(self, server_id: str, targets: Sequence[Target]) -> ProbeReport:
        """Try each target from inside the server, besides what the adapter itself knows of."""

    def list_missing_blobs(self, server_id: str, digests: Iterable[str]) -> frozenset[str]:
        """Say which blobs the server does not have yet."""

    def put_blobs(self, server_id: str, blobs: Iterator[tuple[str, Path]], fence: Fence) -> None:
        """Carry blobs into the server; each digest is checked on arrival.

        Raises `Refused` (`disk_full`, `digest_mismatch`).
        """

    def assemble_release(self, server_id: str, spec: ReleaseSpec, fence: Fence) -> None:
        """Build the release beside the live one, with its nonce; nothing is served from it yet."""

    def check_release(self, server_id: str, deployment_id: str, path: str) -> CheckResult:
        """Serve the assembled release on the server's inner port only, and ask it for `path`.

        Passes if the answer is a 2xx or 3xx and the inner port gives this deployment's nonce.
        """

    def switch_release(self, server_id: str, deployment_id: str, fence: Fence) -> None:
        """Make the assembled release the live one, atomically."""

    def prune_releases(self, server_id: str, keep: Iterable[str], fence: Fence) -> None:
        """Forget assembled deployments that are not in `keep`, and blobs that none of these use.

        The live one is always kept.
        """

    def open_run(self, server_id: str, run_id: str, lasts: timedelta, fence: Fence) -> Access:
        """Let a run command a running server for a time, and say how it reaches it.

        Repeated, it prolongs the time and renews the fence. A fence that is newer and was used for
        any change shuts the run out until then.
        """

    def close_run(self, run_id: str, fence: Fence) -> None:
        """End a run's access to all servers; when this returns, nothing is being done for it."""

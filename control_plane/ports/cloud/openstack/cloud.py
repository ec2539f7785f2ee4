"""An OpenStack region: the same port as the local cloud, on projects, machines and groups.

Nothing here waits long: what takes a cloud its time is asked for, looked at for some seconds, and
told as `reasons` of a server that does not run yet; the next call goes on from what is there.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

from control_plane.kit import clock
from control_plane.kit.errors import Refused, Unavailable
from control_plane.ports.cloud.openstack.certificates import Authority, Key
from control_plane.ports.cloud.openstack.fences import Fences
from control_plane.ports.cloud.openstack.guests import PROGRAM, Guests, fence_arguments
from control_plane.ports.cloud.openstack.images import Images
from control_plane.ports.cloud.openstack.lookout import Lookout
from control_plane.ports.cloud.openstack.machines import (
    NEXT,
    STOPPED,
    Machine,
    is_lost,
    refuse_lost,
)
from control_plane.ports.cloud.openstack.sdk import Api
from control_plane.ports.cloud.openstack.servers import Servers
from control_plane.ports.cloud.openstack.succession import Successions, is_as_wished
from control_plane.ports.cloud.openstack.tenants import Tenants
from control_plane.ports.cloud.openstack.waits import Waits
from control_plane.ports.cloud.openstack.wires import Wires
from control_plane.ports.cloud.openstack.wishes import PORT, SSH, RegionSettings, epoch_of
from control_plane.ports.cloud.port import (
    Access,
    CloudObject,
    Fence,
    Image,
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
from control_plane.ports.cloud.receiver import Call, Feed, ThroughReceiver

NEIGHBOURS = 8  # of each sort are probed
_SPARE = timedelta(minutes=1)


class OpenStackCloud(ThroughReceiver):
    """A region of OpenStack; see `port.Cloud`. `folder` is the worker's own."""

    def __init__(
        self, api: Api, settings: RegionSettings, folder: Path, waits: Waits | None = None
    ) -> None:
        self._settings = settings
        self._waits = waits or Waits()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._guests = Guests(Authority(folder, settings.configurator), folder / "guests")
        self._tenants = Tenants(api, settings)
        self._images = Images(api, self._tenants)
        self._servers = Servers(api, settings, self._tenants)
        self._wires = Wires(settings, self._tenants, self._servers)
        self._lookout = Lookout(self._servers, self._guests, self._waits)
        self._successions = Successions(self._servers, self._guests, self._lookout)
        self._fences = Fences()
        self._lock = threading.Lock()
        self._runs: dict[tuple[str, str], tuple[Key, datetime]] = {}
        self._with_data: set[str] = set()

    def ensure_tenant(self, spec: TenantSpec, fence: Fence) -> None:
        """Make or mend a project and its network."""
        self._fences.check(fence)
        self._tenants.ensure(spec)

    def destroy_tenant(self, tenant_id: str, fence: Fence) -> None:
        """Remove a project and its network."""
        self._fences.check(fence)
        self._tenants.destroy(tenant_id)

    def ensure_server(self, spec: ServerSpec, fence: Fence) -> ServerFact:
        """Make or mend a server, and look for some seconds whether it runs."""
        self._fences.check(fence)
        machines = []
        for one in self._servers.find_all(spec.server_id, self._check_place(spec)):
            if is_lost(one) and not one.holds_data and not one.is_successor:
                self._remove(one)  # it never was one: what the cloud could not make is made anew
            else:
                machines.append(one)
        if not machines:
            machine = self._servers.make(spec, self._guests.authority.public_key)
            return self._lookout.await_running(machine)
        serving, others = machines[0], machines[1:]
        self._check_identity(serving, spec)
        is_wished = is_as_wished(serving, spec)
        if is_wished or serving.is_successor:  # one succession is brought to its end before another
            fact = self._serve(serving, others, spec, fence)
            if is_wished or fact.state is not ServerState.RUNNING:
                return fact
            others = []
        self._forget(spec.server_id)
        return self._successions.advance(serving, others, spec, fence)

    def _serve(
        self, serving: Machine, others: Sequence[Machine], spec: ServerSpec, fence: Fence
    ) -> ServerFact:
        """See that a machine serves; the others, which came before it or were to, are removed."""
        self._successions.give_up(serving, others, fence)
        self._servers.mend(serving, spec)
        if serving.status in STOPPED:
            self._servers.act(serving, "os-start")
        fact = self._lookout.await_running(serving)
        if fact.state is ServerState.RUNNING:
            self._successions.finish(serving, others)
        return fact

    def observe_server(self, server_id: str) -> ServerFact:
        """Say what is there now."""
        machine = self._servers.find(server_id)
        if machine is None:
            return ServerFact(server_id, ServerState.ABSENT)
        return self._lookout.fact(machine)

    def stop_server(self, server_id: str, fence: Fence) -> None:
        """Stop a server and close its wires."""
        self._fences.check(fence)
        machine = self._servers.find(server_id)
        if machine is None:
            return
        self._wires.close_all_of(server_id, machine.tenant_id, for_good=False)
        if machine.status == "ACTIVE":
            self._servers.act(machine, "os-stop")
            self._lookout.await_status(machine, STOPPED)
        self._forget(server_id)

    def destroy_server(self, server_id: str, fence: Fence) -> None:
        """Remove a server, its disk, its addresses and its wires."""
        self._fences.check(fence)
        place = self._servers.place(server_id)
        if place is None:
            return
        self._wires.close_all_of(server_id, place, for_good=True)
        for machine in self._servers.find_all(server_id, place):
            self._remove(machine)
        for name in (server_id + NEXT, server_id):
            self._servers.remove_rest(name, place)
        self._servers.forget(server_id)
        self._guests.forget(server_id)

    def ensure_wire(self, spec: WireSpec, fence: Fence) -> WireFact:
        """Open the one port of the one server to the other."""
        self._fences.check(fence)
        return self._wires.ensure(spec)

    def observe_wire(self, spec: WireSpec) -> WireFact:
        """Say what is there of a wire."""
        return self._wires.observe(spec)

    def remove_wire(self, wire_id: str, fence: Fence) -> None:
        """Close a wire and forget it."""
        self._fences.check(fence)
        self._wires.remove(wire_id)

    def list_objects(self) -> Iterable[CloudObject]:
        """List projects and servers with our tag."""
        for project in self._tenants.list_projects():
            tenant_id = self._settings.tenant_of(project["name"])
            epoch = epoch_of(project["description"])
            yield CloudObject("tenant", tenant_id, tenant_id, epoch, holds_data=False)
        servers: dict[str, list[Machine]] = {}
        for one in self._servers.everything():
            servers.setdefault(one.server_id, []).append(one)
        for server_id, machines in servers.items():
            epoch = min(epoch_of(one.metadata.get("edubba", "")) for one in machines)
            holds_data = any(one.holds_data for one in machines)
            yield CloudObject("server", server_id, machines[0].tenant_id, epoch, holds_data)

    def list_images(self) -> Iterable[Image]:
        """List the prepared images, the newest of a family first."""
        return self._images.list_prepared()

    def probe_isolation(self, server_id: str, targets: Sequence[Target]) -> ProbeReport:
        """Try the targets, neighbours and what the guest knows of, from inside."""
        door = self._lookout.door(server_id)
        wished = [asdict(target) for target in (*targets, *self._neighbours(server_id))]
        report = self._guests.ask(door, "probe", about={"targets": wished})
        return ProbeReport(
            controls_passed=report.get("controls_passed") is True,
            reached=tuple(str(one)[:80] for one in report.get("reached", ())),
            tried=tuple(str(one)[:80] for one in report.get("tried", ())),
        )

    def put_blobs(self, server_id: str, blobs: Iterator[tuple[str, Path]], fence: Fence) -> None:
        """Carry blobs into the server."""
        self._mark_data(server_id, fence)
        super().put_blobs(server_id, blobs, fence)

    def assemble_release(self, server_id: str, spec: ReleaseSpec, fence: Fence) -> None:
        """Build a release beside the live one."""
        self._mark_data(server_id, fence)
        super().assemble_release(server_id, spec, fence)

    def open_run(self, server_id: str, run_id: str, lasts: timedelta, fence: Fence) -> Access:
        """Give a run a key of its own, which opens this server for this run alone."""
        self._mark_data(server_id, fence)
        door, until = self._lookout.door(server_id), clock.now() + lasts
        ends = str(int(until.timestamp()))
        self._guests.ask(door, "open", run_id, *fence_arguments(fence), "--until", ends)
        with self._lock:
            key, valid_until = self._runs.get((run_id, server_id), (None, until))
            if key is None or valid_until < until - _SPARE:
                command = f"{PROGRAM} run {run_id}"
                key = self._guests.authority.issue(server_id, run_id, lasts + _SPARE, command)
                self._runs[run_id, server_id] = (key, until + _SPARE)
        variables: dict[str, str | int] = {
            "ansible_connection": "edubba_ssh",
            "edubba_ssh_address": str(door.address),
            "edubba_ssh_host_key": door.host_key,
        }
        secrets = {"edubba_ssh_key": key.private, "edubba_ssh_certificate": key.certificate}
        return Access(server_id, variables, secrets)

    def close_run(self, run_id: str, fence: Fence) -> None:
        """End a run in each server that it was opened in by this process."""
        self._fences.check(fence)
        with self._lock:
            servers = [server_id for known, server_id in self._runs if known == run_id]
        for server_id in servers:
            machine = self._servers.find(server_id)
            if machine is not None and machine.status == "ACTIVE":
                door = self._lookout.door(server_id)
                self._guests.ask(door, "close", run_id, *fence_arguments(fence))
            with self._lock:
                self._runs.pop((run_id, server_id), None)

    def receive(self, call: Call, feed: Feed) -> bytes:
        """Call the receiver inside a server through SSH."""
        if call.fence is not None:
            self._fences.check(call.fence)
        argv = ["receive", *fence_arguments(call.fence), call.name, *call.arguments]
        return self._guests.talk(self._lookout.door(call.server_id), argv, feed)

    def _check_place(self, spec: ServerSpec) -> str:
        """Return the tenant of a server. Raises Refused where it is not there, or another."""
        self._tenants.space(spec.tenant_id)
        if self._servers.known_place(spec.server_id) not in {None, spec.tenant_id}:
            raise Refused("server_identity_changed", server=spec.server_id)
        return spec.tenant_id

    def _check_identity(self, machine: Machine, spec: ServerSpec) -> None:
        known = machine.metadata
        if known.get("edubba_serial") != str(spec.serial):
            raise Refused("server_identity_changed", server=spec.server_id)
        disk = int(known.get("edubba_disk_mib", "0"))
        if spec.limits.disk_mib < disk:
            raise Refused("disk_cannot_shrink", from_mib=disk)
        if is_lost(machine):
            raise refuse_lost(machine)

    def _mark_data(self, server_id: str, fence: Fence) -> None:
        """Write down that a server holds something of the tenant's, before it does."""
        self._fences.check(fence)
        with self._lock:
            if server_id in self._with_data:
                return
        machine = self._servers.find(server_id)
        if machine is None or machine.status != "ACTIVE":
            raise Unavailable("server_unreachable", server=server_id)
        if not machine.holds_data:
            self._servers.mark_data(machine)
        with self._lock:
            self._with_data.add(server_id)

    def _neighbours(self, server_id: str) -> list[Target]:
        """Return servers of the tenant and of others that must not answer this one."""
        doors = [one for one in self._lookout.doors() if one.server_id != server_id]
        addresses = [(door.server_id, str(door.address)) for door in doors[:NEIGHBOURS]]
        place = self._servers.place(server_id)
        opened: set[tuple[str, int]] = set()
        if place is not None:
            addresses += self._servers.neighbours(server_id, place)[:NEIGHBOURS]
            opened = self._wires.opened_to(server_id, place)
        return [
            Target(name, address, port)
            for name, address in addresses
            for port in (PORT, SSH)
            if (address, port) not in opened
        ]

    def _remove(self, machine: Machine) -> None:
        """Remove a machine and see that it is gone. Raises Unavailable while it is not."""
        self._servers.remove(machine)
        self._forget(machine.server_id)
        self._lookout.await_gone(machine)

    def _forget(self, server_id: str) -> None:
        self._lookout.forget(server_id)
        with self._lock:
            self._with_data.discard(server_id)
            self._runs = {key: run for key, run in self._runs.items() if key[1] != server_id}


def new_cloud(
    clouds_file: Path, entry: str, settings: RegionSettings, folder: Path, waits: Waits
) -> OpenStackCloud:
    """Return the cloud of an entry in a `clouds.yaml`. Raises Refused (`cloud_settings_wrong`)."""
    return OpenStackCloud(Api(clouds_file, entry), settings, folder, waits)

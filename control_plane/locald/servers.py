"""A server as a whole: made, observed, mended, stopped and destroyed, part by part."""

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from control_plane.locald import cgroups, seccomp
from control_plane.locald.bundle import Paths, new_bundle, new_resources
from control_plane.locald.checks import Server, Target
from control_plane.locald.containers import Container, Containers
from control_plane.locald.disks import detach_loops, ensure_disk, must_grow, wait_released
from control_plane.locald.edge_namespace import (
    end_edge_elsewhere,
    ensure_edge_namespace,
    list_edge_faults,
)
from control_plane.locald.faults import Refusal, Trouble
from control_plane.locald.images import Image, get_image, list_images
from control_plane.locald.isolation import NEIGHBOURS, FarEnd, Probe, Report
from control_plane.locald.mounts import ensure_overlay, ensure_shifted, is_mounted, unmount
from control_plane.locald.names import Names
from control_plane.locald.network import (
    Network,
    ensure_link,
    is_answering,
    list_link_faults,
    remove_link,
)
from control_plane.locald.nft import edge_rules
from control_plane.locald.state import Records, write_durably
from control_plane.locald.wire_records import WireRecords

# While a run commands a server, it may use one whole processor: under a limit of half of one, a run
# of seven tasks took half as long again.
RUN_CPU_MILLIS = 1000
ANSWER_TIMEOUT_S = 10.0  # nginx answers after 0.05 s here, under a CPU limit of a tenth after 1 s
_CONSOLE_MAX = 1 << 20
RUNNING, DEGRADED, STOPPED, ABSENT = "running", "degraded", "stopped", "absent"


@dataclass(frozen=True, slots=True)
class Fact:
    """What was seen of a server."""

    server_id: str
    state: str
    address: str | None = None
    image: str | None = None
    reasons: list[str] = field(default_factory=list)


def _without_limits(config: dict[str, Any]) -> dict[str, Any]:
    linux = {key: value for key, value in config["linux"].items() if key != "resources"}
    return {**config, "linux": linux}


class Servers:
    """The servers of one instance; the caller holds the server's lock while changing one."""

    def __init__(self, names: Names, is_commanded: Callable[[str], bool]) -> None:
        self._names, self._is_commanded = names, is_commanded
        self._edge_lock = threading.Lock()
        self.records, self.wires = Records(names), WireRecords(names)
        self.containers = Containers(names)

    def accept(self, spec: Server) -> None:
        """Remember the wish; the caller holds the tenant's lock. Raises Refusal."""
        get_image(self._names.images_dir, spec.image)
        if self.records.find_tenant(spec.tenant_id) is None:
            raise Refusal("tenant_missing", tenant=spec.tenant_id)
        self.records.save_server(spec)

    def ensure(self, spec: Server) -> Fact:
        """Make the accepted server as specified, or mend it. Raises Refusal or Trouble."""
        spec = self._eased(spec)
        image = get_image(self._names.images_dir, spec.image)
        self._ensure_edge()
        config = self._new_config(spec, image)
        found = self.containers.find(spec.server_id)
        if found and (found.status != "running" or self._is_other(spec.server_id, config)):
            found = None
        if found is None or not self._is_mounted(spec.server_id) or self._must_grow(spec):
            self.stop(spec.server_id)
            found = self._bring_up(spec, image, config)
        self._set_limits(spec)
        ensure_link(self._network(spec, found))
        if found.status == "created":
            self.containers.start(spec.server_id)
        if not is_answering(self._names, spec, image.port, ANSWER_TIMEOUT_S):
            raise Trouble("server_not_answering", server=spec.server_id)
        return self.observe(spec.server_id)

    def _eased(self, spec: Server) -> Server:
        """Return the server with the limits that are right for it now."""
        if not self._is_commanded(spec.server_id):
            return spec
        millis = max(spec.limits.cpu_millis, RUN_CPU_MILLIS)
        return replace(spec, limits=replace(spec.limits, cpu_millis=millis))

    def _set_limits(self, spec: Server) -> None:
        if cgroups.list_wrong_limits(self._names.cgroup(spec.server_id), spec.limits):
            limits = new_resources(spec.limits, with_swap=cgroups.may_limit_swap())
            self.containers.update(spec.server_id, limits)

    def set_limits(self, server_id: str) -> None:
        """Give a running server the limits that are right for it now."""
        spec, found = self.records.find_server(server_id), self.containers.find(server_id)
        if spec and found and found.status == "running":
            self._set_limits(self._eased(spec))

    def _ensure_edge(self) -> None:
        with self._edge_lock:
            ensure_edge_namespace(self._names.instance)
            end_edge_elsewhere(self._names)
            edge_rules(self._names).ensure()

    def _network(self, spec: Server, found: Container) -> Network:
        inside = Path(f"/proc/{found.pid}/ns/net")
        return Network(self._names, spec, inside, self.wires.list_of(spec.server_id))

    def _disk_file(self, server_id: str) -> Path:
        return self._names.server_dir(server_id) / "disk.img"

    def _must_grow(self, spec: Server) -> bool:
        return must_grow(self._disk_file(spec.server_id), spec.limits.disk_mib)

    def _point(self, spec: Server, name: str) -> Path:
        return self._names.runtime_dir(spec.server_id) / name

    def _is_mounted(self, server_id: str) -> bool:
        folder = self._names.runtime_dir(server_id)
        return all(is_mounted(folder / name) for name in ("disk", "lower", "rootfs"))

    def _new_config(self, spec: Server, image: Image) -> dict[str, Any]:
        paths = Paths(self._point(spec, "rootfs"), self._names.cgroup(spec.server_id))
        profile = seccomp.load(())
        swap = cgroups.may_limit_swap()
        return new_bundle(spec, image, paths, profile, with_swap=swap)

    def _is_other(self, server_id: str, config: dict[str, Any]) -> bool:
        """Whether a container was made from another description, limits set aside."""
        path = self._names.runtime_dir(server_id) / "config.json"
        try:
            made_from: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            return True
        return _without_limits(made_from) != _without_limits(config)

    def _bring_up(self, spec: Server, image: Image, config: dict[str, Any]) -> Container:
        folder = self._names.runtime_dir(spec.server_id)
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        disk, lower, rootfs = folder / "disk", folder / "lower", folder / "rootfs"
        ensure_disk(self._disk_file(spec.server_id), spec.limits.disk_mib, disk)
        ensure_shifted(image.root, lower, spec.uid_base)
        ensure_overlay(lower, disk, rootfs, spec.uid_base)
        write_durably(folder / "config.json", json.dumps(config))
        console = disk / "console.log"
        if console.is_file() and console.stat().st_size > _CONSOLE_MAX:
            console.unlink()
        return self.containers.create(spec.server_id, folder, console)

    def _take_down(self, server_id: str) -> None:
        """Remove all but the disk's file and what is remembered."""
        self.containers.remove(server_id)
        unmount(self._names.runtime_dir(server_id))
        detach_loops(self._names.server_dir(server_id))
        wait_released(self._names.server_dir(server_id))

    def observe(self, server_id: str) -> Fact:
        """Say what is there, and in which parts it differs from what was wished."""
        spec = self.records.find_server(server_id)
        if spec is None:
            return Fact(server_id, ABSENT)
        about = {"address": str(spec.address), "image": spec.image}
        found = self.containers.find(server_id)
        if found is None or found.status != "running":
            reason = f"container_{found.status}" if found else "container_missing"
            return Fact(server_id, STOPPED, **about, reasons=[reason])
        reasons = self._list_faults(spec, found)
        return Fact(server_id, DEGRADED if reasons else RUNNING, **about, reasons=reasons)

    def _list_faults(self, wished: Server, found: Container) -> list[str]:
        spec = self._eased(wished)
        names, image = self._names, get_image(self._names.images_dir, spec.image)
        edge = list_edge_faults(names)
        reasons = list(edge)
        if self._is_other(spec.server_id, self._new_config(spec, image)):
            reasons.append("configuration")
        if not self._is_mounted(spec.server_id):
            reasons.append("mounts")
        if self._must_grow(spec):
            reasons.append("limit_disk")
        wrong = cgroups.list_wrong_limits(names.cgroup(spec.server_id), spec.limits)
        reasons += [f"limit_{name}" for name in wrong]
        if "edge_missing" in edge:
            return [*reasons, "link"]
        if not edge_rules(names).is_whole():
            reasons.append("rules")
        reasons += list_link_faults(self._network(spec, found))
        if "link" not in reasons and not is_answering(names, spec, image.port):
            reasons.append("silent")
        return reasons

    def stop(self, server_id: str) -> None:
        """Let the server's process end, and keep its disk."""
        found = self.containers.find(server_id)
        if found and found.status == "running":
            self.containers.terminate(server_id)
        self._take_down(server_id)

    def destroy(self, server_id: str) -> None:
        """Remove the server, its link and its data; nothing happens if it is gone."""
        spec = self.records.find_server(server_id)
        self._take_down(server_id)
        if spec:
            remove_link(self._names, spec.serial)
        folder = self._names.runtime_dir(server_id)
        if folder.is_dir():
            shutil.rmtree(folder)
        self.records.forget_server(server_id)

    def probe(self, server_id: str, targets: list[Target]) -> Report:
        """Try from inside the server what it must not reach. Raises Trouble if it isn't running."""
        spec = self.records.find_server(server_id)
        if spec is None:
            raise Trouble("server_unreachable", server=server_id)
        ports = {image.digest: image.port for image in list_images(self._names.images_dir)}
        neighbours = [
            Target(f"server {other.server_id}", str(other.address), ports[other.image])
            for other in self.records.list_servers()
            if other.server_id != server_id and other.image in ports
        ]
        inside = self.containers.network_namespace(server_id)
        return Probe(self._names, spec, inside, neighbours, self._far_ends(spec)).run(targets)

    def _far_ends(self, spec: Server) -> list[FarEnd]:
        """Return the ends of wires in other running servers: all of its own, some foreign ones.

        Of the foreign ones, first those that end where one of its own does.
        """
        mine = self.wires.list_of(spec.server_id)
        near = {server_id for wire in mine for server_id in wire.wish.ends}
        foreign = [wire for wire in self.wires.list_all() if wire not in mine]
        foreign.sort(key=lambda wire: near.isdisjoint(wire.wish.ends))
        wires = [*mine, *foreign[:NEIGHBOURS]]
        far = {server_id for wire in wires for server_id in wire.wish.ends} - {spec.server_id}
        running = {server_id: self._find_running(server_id) for server_id in sorted(far)}
        ends = [(wire, running.get(server_id)) for wire in wires for server_id in wire.wish.ends]
        return [FarEnd(wire, *found) for wire, found in ends if found]

    def _find_running(self, server_id: str) -> tuple[Server, Path] | None:
        """Return a running server and its network."""
        spec, found = self.records.find_server(server_id), self.containers.find(server_id)
        if spec is None or found is None or found.status != RUNNING:
            return None
        return spec, Path(f"/proc/{found.pid}/ns/net")

"""The worker process: the only one that composes adapters, and the one that carries all lives.

The database remembers; Celery only wakes. Three threads feed it: the ear hears the web process
ring, the sweep finds each second what no ring told, and Celery's pool runs the steps. Whatever
dies, the next start finds the work again from rows.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import IPv4Address

from celery import Celery
from prometheus_client import start_http_server

from control_plane.blueprints import actions as blueprints_actions
from control_plane.engine import lives, tasks
from control_plane.engine.bell import hear, heard_life, ringing
from control_plane.engine.engine import Engine
from control_plane.engine.lanes import Lanes
from control_plane.engine.registry import Registry
from control_plane.engine.sweep import alert_overdue_lives, wake_resting_lives
from control_plane.hosting import actions as hosting_actions
from control_plane.hosting import steps as hosting
from control_plane.kit import metrics
from control_plane.kit.db import Database
from control_plane.kit.errors import Unavailable
from control_plane.kit.installed import installed_plays
from control_plane.kit.log import configure, get_log
from control_plane.ledger import actions as ledger_actions
from control_plane.ledger import steps as ledger
from control_plane.ports.automation.ansible import AnsibleAutomation
from control_plane.ports.automation.memory import MemoryAutomation, succeed
from control_plane.ports.automation.port import Automation
from control_plane.ports.blobs.files import FileBlobs
from control_plane.ports.bundle import Ports
from control_plane.ports.cloud.lazy import LazyClouds
from control_plane.ports.cloud.local import LocalCloud
from control_plane.ports.cloud.memory import MemoryCloud
from control_plane.ports.cloud.memory_world import Served
from control_plane.ports.cloud.openstack.listener import Listener, Source
from control_plane.ports.cloud.openstack.waits import Waits
from control_plane.ports.cloud.openstack.wishes import RegionSettings
from control_plane.ports.cloud.port import Cloud
from control_plane.ports.edge.haproxy import HaproxyEdge
from control_plane.ports.edge.memory import MemoryEdge
from control_plane.ports.edge.port import Edge
from control_plane.ports.edge.visitor import Visitor
from control_plane.ports.keyring.files import FileKeyring
from control_plane.regions import MemoryRegion, OpenStackRegion, Region, read_regions
from control_plane.releases import actions as releases_actions
from control_plane.releases import steps as releases
from control_plane.settings import Settings
from control_plane.tenancy import actions as tenancy_actions
from control_plane.tenancy import steps as tenancy
from control_plane.tenancy.rules import TENANT_LIFE, RegionKind

log = get_log("worker")
SWEEP_EVERY_S = 1.0
EAR_TIMEOUT_S = 0.5  # how soon the ear sees that the process is to stop
PLATFORM_THREADS = 2  # for the lives that belong to no region, however slow those are
_APART = 2**18  # addresses between regions in memory: a /30 for each server of one
PARTS_EVERY_S = 1.0  # a worker that hears or sweeps no more is to be seen at once
GRACE_S = 20.0  # for the steps that run; what takes longer is found again by its lease

_KINDS = {"hst": hosting.FLOW.kind, "ten": TENANT_LIFE.kind}  # of lives, by what ids begin with

FLOWS = (
    tenancy.REGION_FLOW,
    tenancy.TENANT_FLOW,
    hosting.EDGE_FLOW,
    hosting.FLOW,
    releases.FLOW,
    ledger.FLOW,
)


class Worker:
    """One worker process; `run` blocks until `stop` is called."""

    def __init__(
        self,
        settings: Settings,
        db: Database,
        ports: Ports,
        sources: Iterable[Source] = (),
        waits: Waits | None = None,
    ) -> None:
        self._settings, self._db = settings, db
        self._waits = waits or Waits()
        self._listeners = {one.region: Listener(one, self._tell) for one in sources}
        self._registry = Registry(FLOWS)
        self._app: Celery = tasks.new_app(settings.broker_url.get_secret_value())
        self._bell = tasks.BrokerBell(self._app)
        self._threads = threads_of(settings, len(ports.clouds))
        lanes = Lanes(settings.worker_threads)
        self._engine = Engine(db, ports, self._registry, _holder(settings), self._bell, lanes)
        self._stopped = threading.Event()

    def run(self) -> bool:
        """Carry lives until stopped; return when the running steps are over, or GRACE_S later.

        False: a part of it ended by itself. What watches over this process starts it anew.
        """
        consumer = tasks.Consumer(self._app, self._engine, self._threads)
        runs: dict[str, Callable[[], None]] = {
            "sweep": self._sweep_until_stopped,
            "ear": self._listen_until_stopped,
        }
        for region, listener in self._listeners.items():
            runs[f"notifications-{region}"] = partial(listener.run, self._stopped)
        threads = [
            threading.Thread(target=run, name=name, daemon=True) for name, run in runs.items()
        ]
        self._repeat_until_available(self._take_over)
        consumer.start()
        for thread in threads:
            thread.start()
        log.info("worker_started", threads=self._threads)
        ended: list[str] = []
        while not (ended or self._stopped.wait(PARTS_EVERY_S)):
            parts = {"bell": consumer.is_alive, **{one.name: one.is_alive() for one in threads}}
            ended = [name for name, is_alive in parts.items() if not is_alive]
        if ended:
            log.error("worker_part_ended", parts=ended)
            self.stop()
        log.info("worker_stopped", in_time=consumer.stop(GRACE_S))
        return not ended

    def stop(self) -> None:
        """Claim nothing more and let `run` return."""
        self._stopped.set()

    def _take_over(self) -> None:
        self._engine.release_leases()
        if self._settings.is_embedded:  # the machine itself may have started anew
            log.info("lives_woken", count=wake_resting_lives(self._db))

    def _sweep_until_stopped(self) -> None:
        while not self._stopped.is_set():
            started = time.monotonic()
            try:
                self._engine.release_lost_leases()
                alert_overdue_lives(self._db)
                self._bell.ring(self._engine.find_due())
                self._settings.heartbeat_file.touch(mode=0o640)
            except Unavailable as error:
                log.warning("sweep_postponed", code=error.code)
            self._stopped.wait(max(0.0, SWEEP_EVERY_S - (time.monotonic() - started)))

    def _listen_until_stopped(self) -> None:
        with hear(self._settings.bell_socket) as ear:
            ear.settimeout(EAR_TIMEOUT_S)
            while not self._stopped.is_set():
                life_id = heard_life(ear)
                if life_id is not None:
                    self._bell.ring([life_id])

    def _tell(self, ids: frozenset[str]) -> None:
        """Let what a cloud's notifications are about look at once: who waits, and who rests."""
        self._waits.tell(ids)
        for one in ids:
            kind = _KINDS[one.partition("_")[0]]
            try:
                with ringing(self._db, self._bell) as session:
                    lives.hasten_life(session, kind, one)
            except Unavailable as error:
                log.warning("notification_lost", subject=one, code=error.code)

    def _repeat_until_available(self, act: Callable[[], None]) -> None:
        while not self._stopped.is_set():
            try:
                act()
            except Unavailable as error:
                log.warning("start_postponed", code=error.code)
                self._stopped.wait(SWEEP_EVERY_S)
            else:
                return


def threads_of(settings: Settings, regions: int) -> int:
    """Return how many steps run at once: so many a region, that none waits for another's."""
    return settings.worker_threads * regions + PLATFORM_THREADS


def _holder(settings: Settings) -> str:
    # The same after a restart, so that a new process frees what its predecessor held.
    return f"{socket.gethostname()}/{settings.instance}"[:64]


def new_ports(
    settings: Settings, regions: Mapping[str, Region], waits: Waits | None = None
) -> Ports:
    """Return the adapters of an installation, one cloud for each of its regions (by id).

    A cloud is made when it is first needed; its settings may be wrong until then. `waits` are those
    of its steps that something from outside may end.
    """
    clouds: Mapping[str, Cloud]
    edge: Edge
    automation: Automation
    if any(isinstance(region, MemoryRegion) for region in regions.values()):
        worlds = {one: MemoryCloud(beyond=n * _APART) for n, one in enumerate(regions)}
        clouds = worlds
        edge = MemoryEdge(partial(_serve, tuple(worlds.values())))
        automation = MemoryAutomation(dict.fromkeys(installed_plays(), succeed))
    else:
        told = waits or Waits()
        clouds = LazyClouds(
            {one: partial(_new_cloud, settings, regions[one], told) for one in regions}
        )
        visitor = Visitor(settings.edge_host, settings.edge_https_port, settings.ca_file)
        edge = HaproxyEdge(settings.edge_dir, settings.edge_socket, visitor)
        automation = AnsibleAutomation(settings.runner_socket)
    return Ports(
        clouds=clouds,
        edge=edge,
        blobs=FileBlobs(settings.blobs_dir),
        keyring=FileKeyring(settings.keys_dir, settings.zone),
        automation=automation,
    )


def _serve(clouds: Sequence[MemoryCloud], address: IPv4Address, _port: int, path: str) -> Served:
    """Answer as the server does that has this address in one of the regions."""
    for cloud in clouds:
        with suppress(Unavailable):
            return cloud.serve(address, path)
    raise Unavailable("server_unreachable", address=str(address))


def _new_cloud(settings: Settings, region: Region, waits: Waits) -> Cloud:
    if not isinstance(region, OpenStackRegion):
        return LocalCloud(settings.locald_socket)
    # The SDK takes 50 MB, which only a worker of an OpenStack region has to spare.
    from control_plane.ports.cloud.openstack.cloud import new_cloud  # noqa: PLC0415

    wishes = RegionSettings(
        installation=settings.instance,
        epoch=1,
        external_network=region.external_network,
        edge=tuple(region.edge),
        configurator=tuple(region.configurator),
        role=region.role,
        with_config_drive=region.config_drive,
    )
    folder = settings.keys_dir / "openstack"  # one authority: a certificate names its server
    return new_cloud(settings.clouds_file, region.cloud, wishes, folder, waits)


def _sources(regions: Mapping[str, Region]) -> Iterator[Source]:
    for name, region in regions.items():
        told = region.notifications if isinstance(region, OpenStackRegion) else None
        if told is not None:
            yield Source(name, told.url, told.queues, told.ca_file)


def ensure_platform(settings: Settings, db: Database) -> Mapping[str, Region]:
    """See that the platform's own lives exist; return the regions by id. Idempotent."""
    named = read_regions(settings)
    with db.begin() as session:
        regions = {}
        for name, region in named.items():
            kind, memory_mib = RegionKind(region.kind), region.memory_mib
            row = tenancy_actions.ensure_region(session, name, kind, memory_mib)
            regions[row.id] = region
        tenancy_actions.drop_other_regions(session, regions)
        blueprints_actions.register_installed(session)
        hosting.ensure_edge_life(session)
        releases_actions.ensure_gc_life(session)
        ledger_actions.ensure_log(session, f"{settings.zone}/ledger")
        return regions


def _publish_recipient(db: Database, ports: Ports) -> None:
    recipient = ports.keyring.recipient()
    with db.begin() as session:
        hosting_actions.publish_recipient(session, recipient)


def _publish_authority(settings: Settings, ports: Ports) -> None:
    # Whom to trust is for everybody to read: visitors, the doctor, the worker's own look.
    settings.ca_file.parent.mkdir(parents=True, exist_ok=True)
    fresh = settings.ca_file.with_suffix(".new")
    fresh.write_text(ports.keyring.ca_certificate_pem())
    fresh.chmod(0o644)
    fresh.replace(settings.ca_file)


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    settings = Settings()
    configure(json_lines=settings.json_logs, level=settings.log_level)
    named, waits = read_regions(settings), Waits()
    connections = threads_of(settings, len(named)) + len(named) + 4
    db = Database(settings.database_url.get_secret_value(), pool_size=connections)
    ports = new_ports(settings, ensure_platform(settings, db), waits)
    _publish_authority(settings, ports)
    _publish_recipient(db, ports)
    worker = Worker(settings, db, ports, _sources(named), waits)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: worker.stop())
    if settings.worker_metrics_port:
        start_http_server(settings.worker_metrics_port, "127.0.0.1", registry=metrics.REGISTRY)
    is_whole = worker.run()
    with suppress(Unavailable):
        db.close()
    os._exit(0 if is_whole else 1)  # a step that outlived the grace is found again by its lease


if __name__ == "__main__":
    main()

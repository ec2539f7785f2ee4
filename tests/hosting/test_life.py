"""A hosting's life from request to purge, on the memory cloud and on both databases."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlmodel import Session

from control_plane.engine import lives
from control_plane.engine.engine import Engine
from control_plane.engine.registry import Registry
from control_plane.engine.sweep import find_due_lives
from control_plane.hosting import steps
from control_plane.hosting.models import Hosting, Request
from control_plane.hosting.rules import LIFE, HostingStatus
from control_plane.identity.rules import Role
from control_plane.kit import clock
from control_plane.kit.db import Database
from control_plane.ledger import actions as ledger_actions
from control_plane.ports.blobs.memory import MemoryBlobs
from control_plane.ports.bundle import Ports
from control_plane.ports.cloud.memory import STATIC_SITE, MemoryCloud, Server
from control_plane.ports.edge.memory import MemoryEdge
from control_plane.ports.edge.port import RouteState
from control_plane.ports.keyring.memory import MemoryKeyring
from control_plane.tenancy import actions as tenancy
from control_plane.tenancy import steps as tenancy_steps
from control_plane.tenancy.rules import RegionKind
from tests.api import Api, User, a_person, an_agency, an_api
from tests.offer import a_blueprint, a_wish

FLOWS = (tenancy_steps.REGION_FLOW, tenancy_steps.TENANT_FLOW, steps.EDGE_FLOW, steps.FLOW)


@dataclass
class Centre:
    """A data centre without machines, its people, and a clock that can be moved."""

    api: Api
    cloud: MemoryCloud
    edge: MemoryEdge
    engine: Engine
    owner: User
    operator: User

    def settle(self, later: timedelta = timedelta(), rounds: int = 40) -> None:
        """Let every life that is due run, seen from a later moment, until all rest."""
        registry = Registry(FLOWS)
        with clock.shifted(later):
            for _ in range(rounds):
                due = find_due_lives(self.api.db, registry)
                for life_id in due:
                    self.engine.advance(life_id)
                if not due:
                    return

    def read(self, hosting_id: str) -> Hosting:
        with self.api.db.read() as session:
            return session.get_one(Hosting, hosting_id)

    def request(self) -> tuple[str, str]:
        """Submit a request; return its id and the hosting's."""
        answer = self.owner.post("/v1/requests", a_wish())
        assert answer.status_code == 202, answer.text
        request_id: str = answer.json()["id"]
        with self.api.db.read() as session:
            return request_id, session.get_one(Request, request_id).hosting_id

    def approve(self, request_id: str) -> None:
        plan = self.operator.get(f"/v1/requests/{request_id}").json()["plan"]
        answer = self.operator.post(
            f"/v1/requests/{request_id}/approve", {"plan_hash": plan["hash"]}
        )
        assert answer.status_code == 200, answer.text


@pytest.fixture
def centre(db: Database) -> Iterator[Centre]:
    cloud, blobs = MemoryCloud(), MemoryBlobs()
    edge = MemoryEdge(lambda address, _port, path: cloud.serve(address, path))
    with an_api(db, blobs=blobs) as api:
        agency = an_agency(db)
        a_blueprint(db)
        with db.begin() as session:
            region = tenancy.ensure_region(session, "local", RegionKind.MEMORY)
            ledger_actions.ensure_log(session, "edubba.localhost/ledger")
            steps.ensure_edge_life(session)
        ports = Ports({region.id: cloud}, edge, blobs, MemoryKeyring("edubba.localhost"))
        engine = Engine(db, ports, Registry(FLOWS), "test")
        people = a_person(api, Role.OWNER, agency), a_person(api, Role.OPERATOR)
        made = Centre(api, cloud, edge, engine, *people)
        made.settle()
        yield made


def _active(centre: Centre) -> Hosting:
    request_id, hosting_id = centre.request()
    centre.approve(request_id)
    for seconds in (0, 2, 5, 10):
        centre.settle(timedelta(seconds=seconds))
    return centre.read(hosting_id)


def test_nothing_is_made_before_the_decision(centre: Centre) -> None:
    centre.request()
    centre.settle(timedelta(hours=2))

    assert list(centre.cloud.list_objects()) == []


def test_an_approved_request_becomes_a_site_seen_through_the_edge(centre: Centre) -> None:
    hosting = _active(centre)

    assert hosting.status == HostingStatus.ACTIVE
    assert hosting.observed_generation == hosting.generation
    assert hosting.live_deployment_id == hosting.wished_deployment_id
    [route] = centre.edge.list_routes()
    assert route.state == RouteState.SERVING
    assert centre.edge.observe(route.hostname).status == 200
    assert hosting.image_digest == STATIC_SITE.digest


def _crash(server: Server) -> None:
    server.is_running = False


@pytest.mark.parametrize("sabotage", [_crash, None], ids=["stopped", "gone with its data"])
def test_a_server_that_vanished_comes_back_with_its_content(
    centre: Centre, sabotage: object
) -> None:
    hosting = _active(centre)
    centre.cloud.sabotage(hosting.id, sabotage)

    for seconds in (45, 50, 60):
        centre.settle(timedelta(seconds=seconds))

    [route] = centre.edge.list_routes()
    assert centre.edge.observe(route.hostname).status == 200
    assert centre.read(hosting.id).status == HostingStatus.ACTIVE


def test_an_ended_hosting_keeps_its_data_until_its_time_is_over(centre: Centre) -> None:
    hosting = _active(centre)
    with centre.api.db.begin() as session:
        lives.request_ending(session, LIFE.kind, hosting.id)
    centre.settle(timedelta(seconds=15))

    assert centre.read(hosting.id).status == HostingStatus.ENDED
    assert list(centre.edge.list_routes()) == []
    assert {o.kind for o in centre.cloud.list_objects()} == {"tenant", "server"}

    for days in (31, 32, 33):
        centre.settle(timedelta(days=days))

    assert centre.read(hosting.id).status == HostingStatus.PURGED
    assert list(centre.cloud.list_objects()) == []


def test_a_legal_hold_keeps_the_data_for_as_long_as_it_lasts(centre: Centre) -> None:
    hosting = _active(centre)

    def hold(session: Session) -> None:
        row = session.get_one(Hosting, hosting.id)
        row.legal_hold = True
        session.add(row)

    with centre.api.db.begin() as session:
        hold(session)
        lives.request_ending(session, LIFE.kind, hosting.id)
    for days in (1, 31, 60, 90):
        centre.settle(timedelta(days=days))

    assert centre.read(hosting.id).status == HostingStatus.ENDED
    assert "server" in {o.kind for o in centre.cloud.list_objects()}


def test_a_hosting_whose_isolation_fails_is_taken_out_of_service_and_comes_back(
    centre: Centre,
) -> None:
    hosting = _active(centre)

    def leak(server: Server) -> None:
        server.is_leaking = True

    # The memory cloud lists other servers as targets, so there has to be another one.
    other = centre.owner.post("/v1/requests", a_wish(name="other")).json()
    centre.approve(other["id"])
    for seconds in (11, 13, 16):
        centre.settle(timedelta(seconds=seconds))
    centre.cloud.sabotage(hosting.id, leak)
    centre.settle(timedelta(seconds=55), rounds=3)

    assert centre.read(hosting.id).status == HostingStatus.QUARANTINED

    for seconds in (120, 130, 140):
        centre.settle(timedelta(seconds=seconds))
    assert centre.read(hosting.id).status == HostingStatus.ACTIVE

"""A whole data centre in memory: the API, the engine, and a world that nobody has to clean up."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from control_plane.engine import lives
from control_plane.engine.engine import Engine
from control_plane.engine.registry import Registry
from control_plane.engine.sweep import find_due_lives
from control_plane.hosting import steps
from control_plane.hosting.models import Hosting, Request
from control_plane.hosting.rules import LIFE
from control_plane.identity.rules import Role
from control_plane.kit import clock
from control_plane.kit.db import Database
from control_plane.ledger import actions as ledger_actions
from control_plane.ports.automation.memory import MemoryAutomation
from control_plane.ports.blobs.memory import MemoryBlobs
from control_plane.ports.bundle import Ports
from control_plane.ports.cloud.memory import MemoryCloud
from control_plane.ports.edge.memory import MemoryEdge
from control_plane.ports.keyring.memory import MemoryKeyring
from control_plane.tenancy import actions as tenancy
from control_plane.tenancy import steps as tenancy_steps
from control_plane.tenancy.rules import RegionKind
from tests.api import Api, User, a_person, an_agency, an_api
from tests.offer import IMAGES, KINDS, a_blueprint, a_wish
from tests.plays import plays_on

FLOWS = (tenancy_steps.REGION_FLOW, tenancy_steps.TENANT_FLOW, steps.EDGE_FLOW, steps.FLOW)


@dataclass
class Centre:
    """A data centre without machines, its people, and a clock that can be moved."""

    api: Api
    cloud: MemoryCloud
    edge: MemoryEdge
    automation: MemoryAutomation
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

    def live_on(self, seconds: int) -> None:
        """Let so much time pass, some seconds at once."""
        for later in range(0, seconds + 1, 10):
            self.settle(timedelta(seconds=later))

    def read(self, hosting_id: str) -> Hosting:
        with self.api.db.read() as session:
            return session.get_one(Hosting, hosting_id)

    def step(self, hosting_id: str) -> None:
        """Let one step of a hosting's life run, if it is due."""
        with self.api.db.read() as session:
            life = lives.find_life(session, LIFE.kind, hosting_id)
        assert life is not None
        self.engine.run_step(life.id)

    def request(self, **wish: Any) -> tuple[str, str]:
        """Submit a request; return its id and the hosting's."""
        answer = self.owner.post("/v1/requests", a_wish(**wish))
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

    def active(self, **wish: Any) -> Hosting:
        """Give a hosting that was asked for, approved, and seen through the edge."""
        request_id, hosting_id = self.request(**wish)
        self.approve(request_id)
        for seconds in (0, 2, 5, 10):
            self.settle(timedelta(seconds=seconds))
        return self.read(hosting_id)

    def deploy(self, hosting_id: str, **files: bytes) -> str:
        """Wish for a release of these files to be live; return the deployment's id."""
        listed = [self._upload(name.replace("_", "."), body) for name, body in files.items()]
        release = self._told("/v1/agencies/health/releases", {"files": listed})
        wish = {"release": release["id"]}
        return str(self._told(f"/v1/hostings/{hosting_id}/deployments", wish)["id"])

    def deployment(self, deployment_id: str) -> dict[str, Any]:
        answer = self.owner.get(f"/v1/deployments/{deployment_id}")
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def front_page(self) -> bytes:
        """Return what visitors of the only site see."""
        [route] = self.edge.list_routes()
        return self.edge.observe(route.hostname).body

    def _upload(self, path: str, body: bytes) -> dict[str, object]:
        digest = hashlib.sha256(body).hexdigest()
        place = f"/v1/agencies/health/blobs/{digest}?size={len(body)}"
        answer = self.owner.request("PUT", place, content=body)
        assert answer.status_code == 200, answer.text
        return {"path": path, "digest": digest, "size": len(body)}

    def _told(self, path: str, body: object) -> dict[str, Any]:
        answer = self.owner.post(path, body)
        assert answer.status_code in {201, 202}, answer.text
        told: dict[str, Any] = answer.json()
        return told


@contextmanager
def a_centre(db: Database, **changes: Any) -> Iterator[Centre]:
    """Build a data centre around an empty database, with one agency and an operator.

    `changes` are fields of the desk.
    """
    cloud, blobs = MemoryCloud(IMAGES), MemoryBlobs()
    edge = MemoryEdge(lambda address, _port, path: cloud.serve(address, path))
    with an_api(db, blobs=blobs, **changes) as api:
        agency = an_agency(db)
        for kind in KINDS:
            a_blueprint(db, kind)
        with db.begin() as session:
            region = tenancy.ensure_region(session, "local", RegionKind.MEMORY)
            ledger_actions.ensure_log(session, "edubba.localhost/ledger")
            steps.ensure_edge_life(session)
        keyring = MemoryKeyring("edubba.localhost")
        automation = MemoryAutomation(plays_on(cloud))
        ports = Ports({region.id: cloud}, edge, blobs, keyring, automation)
        engine = Engine(db, ports, Registry(FLOWS), "test")
        people = a_person(api, Role.OWNER, agency), a_person(api, Role.OPERATOR)
        made = Centre(api, cloud, edge, automation, engine, *people)
        made.settle()
        yield made

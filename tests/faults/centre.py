"""A data centre on the memory world: its people, its lives, and time that can be let pass."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from io import BytesIO
from typing import Any

from sqlmodel import col, select

from control_plane.engine import lives
from control_plane.engine.engine import LONGEST_BACK_OFF, Engine
from control_plane.engine.models import Life, LifeState
from control_plane.engine.registry import Registry
from control_plane.engine.sweep import find_due_lives
from control_plane.hosting import actions, steps
from control_plane.hosting import queries as hostings
from control_plane.hosting.actions import Terms, installed_policy
from control_plane.hosting.models import Attachment, Hosting, Request
from control_plane.hosting.rules import AttachmentStatus, Change, NewHosting, RequestStatus
from control_plane.identity.rules import Actor, Role
from control_plane.kit import clock
from control_plane.kit.db import Database, database_now
from control_plane.ledger import actions as ledger_actions
from control_plane.ledger import queries as ledger
from control_plane.ledger.rules import BIRTH as LEDGER
from control_plane.ledger.rules import LOG_ID
from control_plane.ports.bundle import Ports
from control_plane.ports.cloud.port import ReleaseFile
from control_plane.releases import actions as releases
from control_plane.releases.models import Release
from control_plane.releases.rules import Manifest, check_manifest
from control_plane.tenancy import actions as tenancy
from control_plane.tenancy.rules import RegionKind
from tests.api import an_agency
from tests.faults.pictures import faults_of, rows_of
from tests.faults.world import World
from tests.offer import KINDS, a_blueprint, a_wish

HOLDER = "machine/edubba"
SOON = timedelta(seconds=10)  # what comes up later than this is rest
TRIES = 2 * LONGEST_BACK_OFF  # unless it is a step that is tried again
MOST_ROUNDS = 1000
Advance = Callable[[str], object]


class NeverRests(AssertionError):
    """The lives go on and on."""


@dataclass
class QuietCentre:
    """What people and time do to a database and its world; `ports` are the worker's."""

    db: Database
    world: World
    registry: Registry
    region_id: str = ""
    agency_id: str = ""
    ledger_life: str = ""
    people: dict[Role, Actor] = field(default_factory=dict)

    @property
    def terms(self) -> Terms:
        return Terms(self.world.zone, 30, installed_policy())

    def open(self) -> None:
        """Begin as an installation does, with one agency."""
        agency = an_agency(self.db)
        for kind in KINDS:
            a_blueprint(self.db, kind)
        self.agency_id = agency.id
        owner = {agency.id: frozenset({Role.OWNER})}
        self.people = {
            Role.OWNER: Actor("psn_owner", "", "", "ar", frozenset(), owner),
            Role.OPERATOR: Actor("psn_operator", "", "", "ar", frozenset({Role.OPERATOR})),
        }
        with self.db.begin() as session:
            self.region_id = tenancy.ensure_region(session, "local", RegionKind.MEMORY).id
            steps.ensure_edge_life(session)
            releases.ensure_gc_life(session)
            ledger_actions.ensure_log(session, f"{self.world.zone}/ledger")
            life = lives.find_life(session, LEDGER.kind, LOG_ID)
            assert life is not None
            self.ledger_life = life.id

    def engine(self, db: Database | None = None, ports: Ports | None = None) -> Engine:
        """Return a worker's engine; all of them have one name, as one process after another."""
        return Engine(
            db or self.db, ports or self.world.ports(self.region_id), self.registry, HOLDER
        )

    # What people wish

    def request(self, name: str, size: str = "medium", **more: Any) -> str:
        """Ask for a hosting; the policy approves a small site by itself."""
        wish = a_wish(name=name, size=size, **more)
        del wish["kind"]
        owner = self.people[Role.OWNER]
        with self.db.begin() as session:
            return actions.submit_create(session, owner, NewHosting(**wish), self.terms).id

    def approve(self, request_id: str) -> None:
        operator = self.people[Role.OPERATOR]
        with self.db.begin() as session:
            plan = hostings.get_plan(session, session.get_one(Request, request_id))
            actions.approve(session, operator, request_id, plan.hash)

    def withdraw(self, request_id: str) -> None:
        with self.db.begin() as session:
            actions.withdraw(session, self.people[Role.OWNER], request_id)

    def request_of(self, name: str) -> str:
        hosting_id = self.hosting(name).id
        with self.db.read() as session:
            return hostings.get_create_request(session, hosting_id).id

    def end(self, name: str) -> None:
        """Ask for the end of a hosting, which the policy approves."""
        with self.db.begin() as session:
            request = actions.submit_end(
                session, self.people[Role.OWNER], f"health:{name}", "", self.terms
            )
            assert request.status == RequestStatus.APPROVED

    def change(self, name: str, size: str) -> str:
        """Ask for another size."""
        wish = Change(f"health:{name}", size=size)
        with self.db.begin() as session:
            return actions.submit_change(session, self.people[Role.OWNER], wish, self.terms).id

    def suspend(self, name: str) -> None:
        with self.db.begin() as session:
            actions.suspend(session, self.people[Role.OPERATOR], f"health:{name}", "checked")

    def resume(self, name: str) -> None:
        with self.db.begin() as session:
            actions.resume(session, self.people[Role.OPERATOR], f"health:{name}", "")

    def restore(self, name: str) -> None:
        """Ask for what has ended to come back, which the policy approves."""
        reference = f"health:{name}"
        with self.db.begin() as session:
            request = actions.submit_restore(
                session, self.people[Role.OWNER], reference, "", self.terms
            )
            assert request.status == RequestStatus.APPROVED

    def upload(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()

        def record(size: int) -> None:
            with self.db.begin() as session:
                releases.record_blob(session, self.agency_id, digest, size)

        releases.store(self.world.blobs, digest, partial(BytesIO, content), len(content), record)
        return digest

    def release(self, contents: Mapping[str, bytes]) -> str:
        """Upload a site's files and make a release of them."""
        files = [ReleaseFile(path, self.upload(one), len(one)) for path, one in contents.items()]
        manifest = check_manifest(files)
        made: list[str] = []

        def record(size: int) -> None:
            with self.db.begin() as session:
                releases.record_blob(session, self.agency_id, manifest.digest, size)
                release = releases.create_release(session, "psn_owner", self.agency_id, manifest)
                made.append(release.id)

        releases.put_manifest(self.world.blobs, manifest, record)
        return made[0]

    def deploy(self, name: str, contents: Mapping[str, bytes]) -> None:
        wish = actions.DeployWish(f"health:{name}", self.release(contents))
        with self.db.begin() as session:
            actions.deploy(session, self.people[Role.OWNER], wish, self._manifest_of)

    def roll_back(self, name: str) -> None:
        wish = actions.RollbackWish(f"health:{name}", None)
        with self.db.begin() as session:
            actions.roll_back(session, self.people[Role.OWNER], wish, self._manifest_of)

    def ask_to_end(self, kind: str) -> None:
        """Ask all lives of a kind to end."""
        with self.db.begin() as session:
            for life in session.exec(select(Life).where(col(Life.kind) == kind)).all():
                lives.request_ending(session, kind, life.subject_id)

    def attach(self, name: str, database: str) -> None:
        references = f"health:{name}", f"health:{database}"
        with self.db.begin() as session:
            actions.attach(session, self.people[Role.OWNER], *references)

    def detach(self, name: str) -> None:
        """End all attachments of an application."""
        for row in self.attachments(name):
            with self.db.begin() as session:
                actions.detach(session, self.people[Role.OWNER], row.id)

    def attachments(self, name: str) -> list[Attachment]:
        """Return those that have not ended."""
        hosting_id = self.hosting(name).id
        with self.db.read() as session:
            found = session.exec(select(Attachment).where(col(Attachment.hosting_id) == hosting_id))
            return [one for one in found if one.status != AttachmentStatus.DETACHED]

    def hosting(self, name: str) -> Hosting:
        with self.db.read() as session:
            found = hostings.find_hosting(session, f"health:{name}")
        assert found is not None
        return found

    def _manifest_of(self, release: Release) -> Manifest:
        return releases.read_manifest(self.world.blobs, release.manifest_digest)

    # What time does

    def settle(self, advance: Advance) -> None:
        """Let lives run and time pass until nothing comes up for a while."""
        with ExitStack() as later:
            for _ in range(MOST_ROUNDS):
                wait = self.settle_once(advance)
                if wait is None:
                    return
                if wait > timedelta():
                    later.enter_context(clock.shifted(wait))
        raise NeverRests

    def settle_once(self, advance: Advance) -> timedelta | None:
        """Let those lives run that are due; return how long until others are."""
        for life_id in self._due():
            advance(life_id)
        return self._next()

    def _due(self) -> Sequence[str]:
        """Return what is to run; the ledger's turn is when nobody has more to write."""
        due = find_due_lives(self.db, self.registry)
        return [one for one in due if one != self.ledger_life] or due

    def _next(self) -> timedelta | None:
        """Return how long until there is something to do; a ledger that is whole has nothing."""
        with self.db.read() as session:
            now = database_now(session)
            is_sealed = not ledger.count_unsequenced(session)
            is_sealed &= ledger.find_unsigned_checkpoint(session) is None
            waits = [
                (max(life.due_at, life.lease_until or life.due_at) - now, life.attempts)
                for life in session.exec(select(Life).where(col(Life.state) == LifeState.LIVE))
                if life.id != self.ledger_life or not is_sealed
            ]
            return min(
                (wait for wait, tries in waits if wait <= (TRIES if tries else SOON)), default=None
            )

    # What can be seen

    def rows(self) -> list[str]:
        with self.db.read() as session:
            return rows_of(session)

    def picture(self) -> list[str]:
        return [*self.world.picture(), *self.rows()]

    def at_stake(self) -> list[str]:
        """Return the picture without what only says how far each life is."""
        own = ("life ", "timeline_event ")
        return [line for line in self.picture() if not line.startswith(own)]

    def faults(self) -> list[str]:
        with self.db.read() as session:
            return faults_of(session, self.world.cloud)

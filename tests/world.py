"""Rows of a small world, made directly, for tests that ask who may reach them."""

from control_plane.blueprints.models import BlueprintVersion
from control_plane.engine.lives import add_event, find_life, start_life
from control_plane.engine.models import Life, LifeState
from control_plane.hosting.models import Hosting, Request
from control_plane.hosting.rules import LIFE, HostingStatus, RequestKind, RequestStatus
from control_plane.kit import clock
from control_plane.kit.db import Database
from control_plane.kit.ids import new_id
from control_plane.tenancy import actions as tenancy
from control_plane.tenancy.models import Agency
from control_plane.tenancy.rules import RegionKind
from tests.offer import a_blueprint


def a_hosting_row(
    db: Database, agency: Agency, status: HostingStatus = HostingStatus.BUILDING
) -> Hosting:
    """Write a hosting with its tenant, region and life; nothing of it exists outside."""
    now = clock.now()
    blueprint = a_blueprint(db)
    with db.begin() as session:
        region = tenancy.ensure_region(session, "local", RegionKind.MEMORY)
        tenant = tenancy.ensure_tenant_row(session, agency.id, region.id, "main")
        hosting = Hosting(
            id=new_id("hst"),
            agency_id=agency.id,
            region_id=region.id,
            tenant_id=tenant.id,
            name=f"site-{new_id('x')[-12:]}",
            blueprint_version_id=blueprint.id,
            size="small",
            inputs={},
            image_digest="sha256:0",
            status=status,
            created_at=now,
        )
        session.add(hosting)
        session.flush()
        life_id = start_life(session, LIFE, hosting.id, agency.id)
        add_event(session, life_id, "await_decision", "life_began")
        return hosting


def takes_settings(db: Database, hosting_id: str) -> None:
    """Let a hosting be of a kind that its agency may set variables for."""
    with db.begin() as session:
        hosting = session.get_one(Hosting, hosting_id)
        version = session.get_one(BlueprintVersion, hosting.blueprint_version_id)
        new = new_id("bpv")
        spec = {**version.spec, "takes_settings": True}
        other = {"id": new, "digest": f"sha256:{new}", "spec": spec, "is_current": False}
        session.add(BlueprintVersion(**{**version.model_dump(), **other}))
        hosting.blueprint_version_id = new


def a_request_row(db: Database, agency: Agency, hosting: Hosting | None = None) -> Request:
    """Write a request to create a hosting."""
    hosting = hosting or a_hosting_row(db, agency)
    with db.begin() as session:
        request = Request(
            id=new_id("req"),
            agency_id=agency.id,
            hosting_id=hosting.id,
            kind=RequestKind.CREATE,
            status=RequestStatus.SUBMITTED,
            wish={},
            submitted_by="psn_somebody",
            submitted_at=clock.now(),
        )
        session.add(request)
        return request


def life_of(db: Database, hosting: Hosting) -> Life:
    """Return a hosting's life."""
    with db.read() as session:
        life = find_life(session, "hosting", hosting.id)
        assert life is not None
        return life


def a_stopped_life(db: Database, agency: Agency, code: str = "image_missing") -> Life:
    """Write a hosting whose life has stopped with a code."""
    life_id = life_of(db, a_hosting_row(db, agency, HostingStatus.FAILED)).id
    with db.begin() as session:
        life = session.get_one(Life, life_id)
        life.state, life.failure_code, life.failure_facts = LifeState.STOPPED, code, {}
        session.add(life)
        add_event(session, life.id, life.step, "life_stopped", {"code": code})
        return life

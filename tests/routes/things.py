"""What a door of the API is tried on: fresh things of the right agency, and fitting bodies."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

from control_plane.engine.lives import find_life, pause_engine
from control_plane.hosting.models import Attachment, Hosting, Plan, Request
from control_plane.hosting.rules import LIFE, HostingStatus, RequestStatus
from control_plane.hostnames import actions as hostnames
from control_plane.identity.actions import TokenWish, keystone
from control_plane.identity.rules import Role
from control_plane.kit import clock
from control_plane.kit.ids import new_id
from control_plane.ledger import actions as ledger
from control_plane.ledger.rules import SYSTEM
from control_plane.releases.models import Deployment
from control_plane.releases.rules import DeploymentStatus
from control_plane.runs.actions import RunWish, begin_run
from control_plane.tenancy import actions as tenancy
from control_plane.tenancy.models import Agency
from control_plane.tenancy.rules import RegionKind
from tests.api import PLENTY, Api, User, a_person, as_user
from tests.offer import a_blueprint, a_wish
from tests.world import a_hosting_row, a_stopped_life, takes_settings


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cell's request goes: whose things, and who asks."""

    api: Api
    agency: Agency
    user: User | None
    filled: dict[str, str] = field(default_factory=dict)  # the path's parameters


def a_token(place: Place) -> str:
    if place.user is None:
        return new_id("tok")
    wish = TokenWish("to be revoked", timedelta(days=1))
    return str(as_user(place.api, place.user.person, wish).actor.token_id)


def a_project(place: Place) -> str:
    """Let a project of Keystone act for the agency."""
    wish = keystone.Mapping(uuid4().hex, "default", place.agency.id, {"member": Role.VIEWER})
    with place.api.db.begin() as session:
        keystone.map_project(session, SYSTEM, wish)
    return wish.project_id


def a_member(place: Place) -> str:
    return a_person(place.api, Role.VIEWER, place.agency).person.id


def a_life(place: Place) -> str:
    return a_stopped_life(place.api.db, place.agency).id


def an_entry(place: Place) -> str:
    with place.api.db.begin() as session:
        return ledger.append(
            session,
            actor_id=SYSTEM,
            action="something.done",
            subject_id=place.agency.id,
            agency_id=place.agency.id,
            payload={},
        )


def a_request(place: Place) -> str:
    developer = a_person(place.api, Role.DEVELOPER, place.agency)
    wish = a_wish(agency=place.agency.slug, name=a_name())
    answer = developer.post("/v1/requests", wish)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def an_active_hosting(place: Place) -> str:
    request_id = a_request(place)
    with place.api.db.begin() as session:
        request = session.get_one(Request, request_id)
        request.status, request.closed_at = RequestStatus.FULFILLED, clock.now()
        hosting = session.get_one(Hosting, request.hosting_id)
        hosting.status, hosting.active_at = HostingStatus.ACTIVE, clock.now()
        session.add_all([request, hosting])
        return hosting.id


def the_plans_hash(place: Place) -> Any:
    with place.api.db.read() as session:
        plan = session.get(Plan, (place.filled["request_id"], 1))
        assert plan is not None
        return {"plan_hash": plan.hash}


def a_release(place: Place) -> str:
    developer = a_person(place.api, Role.DEVELOPER, place.agency)
    path = f"/v1/agencies/{place.agency.slug}"
    sent = developer.request("PUT", f"{path}/blobs/{DIGEST}?size={len(PAGE)}", content=PAGE)
    assert sent.status_code == 200, sent.text
    made = developer.post(f"{path}/releases", files(place))
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def files(place: Place) -> Any:
    developer = a_person(place.api, Role.DEVELOPER, place.agency)
    path = f"/v1/agencies/{place.agency.slug}/blobs/{DIGEST}?size={len(PAGE)}"
    assert developer.request("PUT", path, content=PAGE).status_code == 200
    file = {"path": f"{a_name()}.html", "digest": DIGEST, "size": len(PAGE)}
    return {"files": [{**file, "path": "index.html"}, file]}


def a_name() -> str:
    return f"n{new_id('nam')[-12:]}"


def ended(place: Place) -> Any:
    with place.api.db.begin() as session:
        hosting = session.get_one(Hosting, place.filled["reference"])
        hosting.status, hosting.ended_at = HostingStatus.ENDED, clock.now()
        hosting.purge_after = clock.now() + timedelta(days=30)
        hosting.live_deployment_id = hosting.wished_deployment_id
        life = find_life(session, LIFE.kind, hosting.id)
        assert life is not None
        life.step, life.is_winding_down = "retain", True
        session.add_all([hosting, life])
        tenancy.release_reservation(session, hosting.id)
        hostnames.release(session, SYSTEM, hosting.id)
    return {"reason": "ended by mistake"}


def a_setting_for_an_application(place: Place) -> Any:
    takes_settings(place.api.db, place.filled["reference"])
    return {"settings": {"LANGUAGE": "ar"}}


def suspended(place: Place) -> Any:
    with place.api.db.begin() as session:
        hosting = session.get_one(Hosting, place.filled["reference"])
        hosting.suspended_at = clock.now()
        session.add(hosting)
    return {"reason": "cleared up"}


def wishes(place: Place) -> Any:
    wish = {"name": a_name(), "blueprint": "static-site", "size": "medium"}
    return {"agency": place.agency.slug, "hostings": [wish]}


def a_deployment(place: Place) -> str:
    hosting = an_active_hosting(place)
    developer = a_person(place.api, Role.DEVELOPER, place.agency)
    wish = {"release": a_release(place)}
    made = developer.post(f"/v1/hostings/{hosting}/deployments", wish)
    assert made.status_code == 202, made.text
    return str(made.json()["id"])


def a_database_for_an_application(place: Place) -> Any:
    """Make the hosting an application in service, and a database beside it."""
    database = a_hosting_row(place.api.db, place.agency)
    kinds = {place.filled["reference"]: "python-app", database.id: "postgres-database"}
    versions = {kind: a_blueprint(place.api.db, kind).id for kind in kinds.values()}
    with place.api.db.begin() as session:
        for hosting_id, kind in kinds.items():
            hosting = session.get_one(Hosting, hosting_id)
            hosting.status, hosting.blueprint_version_id = HostingStatus.ACTIVE, versions[kind]
            session.add(hosting)
    return {"target": database.id}


def an_attachment(place: Place) -> str:
    client, target = (a_hosting_row(place.api.db, place.agency) for _ in range(2))
    row = Attachment(
        id=new_id("att"),
        agency_id=place.agency.id,
        tenant_id=client.tenant_id,
        hosting_id=client.id,
        target_id=target.id,
        variable="DATABASE_URL",
        port=5432,
        user="app_x",
        created_at=clock.now(),
        created_by=SYSTEM,
    )
    with place.api.db.begin() as session:
        session.add(row)
        return row.id


def a_run(place: Place) -> str:
    hosting = a_hosting_row(place.api.db, place.agency)
    wish = RunWish(new_id("run"), hosting.agency_id, hosting.id, "hosting_static_site", "0" * 64)
    with place.api.db.begin() as session:
        begin_run(session, SYSTEM, wish)
    return wish.run_id


def something_to_go_back_to(place: Place) -> Any:
    developer = a_person(place.api, Role.DEVELOPER, place.agency)
    path = f"/v1/hostings/{place.filled['reference']}/deployments"
    made = developer.post(path, {"release": a_release(place)}).json()
    with place.api.db.begin() as session:
        deployment = session.get_one(Deployment, made["id"])
        deployment.status = DeploymentStatus.SUPERSEDED
        session.add(deployment)
    return {"to": made["number"], "reason": "broken links"}


PAGE = b"<!doctype html><title>ok</title>"
DIGEST = hashlib.sha256(PAGE).hexdigest()

FILLERS: dict[str, Callable[[Place], str]] = {
    "slug": lambda place: place.agency.slug,
    "token_id": a_token,
    "run_id": a_run,
    "attachment_id": an_attachment,
    "person_id": a_member,
    "project_id": a_project,
    "tenant_id": lambda place: a_hosting_row(place.api.db, place.agency).tenant_id,
    "role": lambda _place: "viewer",
    "life_id": a_life,
    "hosting_id": lambda place: a_hosting_row(place.api.db, place.agency).id,
    "request_id": a_request,
    "reference": an_active_hosting,
    "release_id": a_release,
    "deployment_id": a_deployment,
    "digest": lambda _place: DIGEST,
    "name": lambda _place: "static-site",
    "entry_id": an_entry,
    "size": lambda _place: "0",
}


def some_quota(_place: Place) -> Any:
    return {resource.value: amount * 100 for resource, amount in PLENTY.items()}


def reason(_place: Place) -> Any:
    return {"reason": "the cause is mended"}


def a_region_to_close(place: Place) -> Any:
    with place.api.db.begin() as session:
        tenancy.ensure_region(session, "spare", RegionKind.MEMORY)
    return {"state": "closed", "reason": "Its power is rebuilt"}


def paused(place: Place) -> Any:
    with place.api.db.begin() as session:
        pause_engine(session, "tenant", SYSTEM, "test")
    return {"kind": "tenant"}

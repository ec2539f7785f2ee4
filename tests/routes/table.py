"""Who may do what through which door: one line a route, read by people and by the test.

`own` are the roles that are let in to what belongs to their own agency (or to nobody's), `foreign`
those that reach another agency's. A path parameter is filled by `FILLERS` with a fresh thing of the
right agency, so that every cell that lets somebody in must end in success.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from control_plane.engine.lives import find_life, pause_engine
from control_plane.hosting.models import Attachment, Hosting, Plan, Request
from control_plane.hosting.rules import LIFE, HostingStatus, RequestStatus
from control_plane.hostnames import actions as hostnames
from control_plane.identity.actions import TokenWish
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
from tests.api import PLENTY, PLENTY_MICROS, Api, User, a_person, as_user
from tests.offer import a_blueprint, a_wish
from tests.world import a_hosting_row, a_stopped_life, takes_settings

CENTRE = "operator auditor"
MEMBERS = "viewer developer owner"
EVERYBODY = f"{MEMBERS} {CENTRE}"
ANYBODY = f"anonymous {EVERYBODY}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cell's request goes: whose things, and who asks."""

    api: Api
    agency: Agency
    user: User | None
    filled: dict[str, str] = field(default_factory=dict)  # the path's parameters


@dataclass(frozen=True, slots=True)
class Access:
    """One line of the table; `foreign` None: the route has nothing that belongs to an agency."""

    own: str
    foreign: str | None = None
    body: Callable[[Place], Any] = lambda _place: None
    content: bytes | None = None  # a body that is no document
    path: str | None = None  # a query is added, or a parameter is given, where it must be
    headers: dict[str, str] = field(default_factory=dict)
    is_read_only: bool = False  # a POST that changes nothing
    success: tuple[int, ...] = (200, 201, 202, 204)
    denied: int = 403  # 404: that there is such a thing isn't told either


def _a_token(place: Place) -> str:
    if place.user is None:
        return new_id("tok")
    wish = TokenWish("to be revoked", timedelta(days=1))
    return as_user(place.api, place.user.person, wish).actor.token_id


def _a_member(place: Place) -> str:
    return a_person(place.api, Role.VIEWER, place.agency).person.id


def _a_stopped_life(place: Place) -> str:
    return a_stopped_life(place.api.db, place.agency).id


def _an_entry(place: Place) -> str:
    with place.api.db.begin() as session:
        return ledger.append(
            session,
            actor_id=SYSTEM,
            action="something.done",
            subject_id=place.agency.id,
            agency_id=place.agency.id,
            payload={},
        )


def _a_request(place: Place) -> str:
    developer = a_person(place.api, Role.DEVELOPER, place.agency)
    wish = a_wish(agency=place.agency.slug, name=_a_name())
    answer = developer.post("/v1/requests", wish)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def _an_active_hosting(place: Place) -> str:
    request_id = _a_request(place)
    with place.api.db.begin() as session:
        request = session.get_one(Request, request_id)
        request.status, request.closed_at = RequestStatus.FULFILLED, clock.now()
        hosting = session.get_one(Hosting, request.hosting_id)
        hosting.status, hosting.active_at = HostingStatus.ACTIVE, clock.now()
        session.add_all([request, hosting])
        return hosting.id


def _the_plans_hash(place: Place) -> Any:
    with place.api.db.read() as session:
        plan = session.get(Plan, (place.filled["request_id"], 1))
        assert plan is not None
        return {"plan_hash": plan.hash}


def _a_release(place: Place) -> str:
    developer = a_person(place.api, Role.DEVELOPER, place.agency)
    path = f"/v1/agencies/{place.agency.slug}"
    sent = developer.request("PUT", f"{path}/blobs/{DIGEST}?size={len(PAGE)}", content=PAGE)
    assert sent.status_code == 200, sent.text
    made = developer.post(f"{path}/releases", _files(place))
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def _files(place: Place) -> Any:
    developer = a_person(place.api, Role.DEVELOPER, place.agency)
    path = f"/v1/agencies/{place.agency.slug}/blobs/{DIGEST}?size={len(PAGE)}"
    assert developer.request("PUT", path, content=PAGE).status_code == 200
    file = {"path": f"{_a_name()}.html", "digest": DIGEST, "size": len(PAGE)}
    return {"files": [{**file, "path": "index.html"}, file]}


def _a_name() -> str:
    return f"n{new_id('nam')[-12:]}"


def _ended(place: Place) -> Any:
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


def _a_setting_for_an_application(place: Place) -> Any:
    takes_settings(place.api.db, place.filled["reference"])
    return {"settings": {"LANGUAGE": "ar"}}


def _suspended(place: Place) -> Any:
    with place.api.db.begin() as session:
        hosting = session.get_one(Hosting, place.filled["reference"])
        hosting.suspended_at = clock.now()
        session.add(hosting)
    return {"reason": "cleared up"}


def _wishes(place: Place) -> Any:
    wish = {"name": _a_name(), "blueprint": "static-site", "size": "medium"}
    return {"agency": place.agency.slug, "hostings": [wish]}


def _a_deployment(place: Place) -> str:
    hosting = _an_active_hosting(place)
    developer = a_person(place.api, Role.DEVELOPER, place.agency)
    wish = {"release": _a_release(place)}
    made = developer.post(f"/v1/hostings/{hosting}/deployments", wish)
    assert made.status_code == 202, made.text
    return str(made.json()["id"])


def _a_database_for_an_application(place: Place) -> Any:
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


def _an_attachment(place: Place) -> str:
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


def _a_run(place: Place) -> str:
    hosting = a_hosting_row(place.api.db, place.agency)
    wish = RunWish(new_id("run"), hosting.agency_id, hosting.id, "hosting_static_site", "0" * 64)
    with place.api.db.begin() as session:
        begin_run(session, SYSTEM, wish)
    return wish.run_id


def _something_to_go_back_to(place: Place) -> Any:
    developer = a_person(place.api, Role.DEVELOPER, place.agency)
    path = f"/v1/hostings/{place.filled['reference']}/deployments"
    made = developer.post(path, {"release": _a_release(place)}).json()
    with place.api.db.begin() as session:
        deployment = session.get_one(Deployment, made["id"])
        deployment.status = DeploymentStatus.SUPERSEDED
        session.add(deployment)
    return {"to": made["number"], "reason": "broken links"}


PAGE = b"<!doctype html><title>ok</title>"
DIGEST = hashlib.sha256(PAGE).hexdigest()

FILLERS: dict[str, Callable[[Place], str]] = {
    "slug": lambda place: place.agency.slug,
    "token_id": _a_token,
    "run_id": _a_run,
    "attachment_id": _an_attachment,
    "person_id": _a_member,
    "role": lambda _place: "viewer",
    "life_id": _a_stopped_life,
    "hosting_id": lambda place: a_hosting_row(place.api.db, place.agency).id,
    "request_id": _a_request,
    "reference": _an_active_hosting,
    "release_id": _a_release,
    "deployment_id": _a_deployment,
    "digest": lambda _place: DIGEST,
    "name": lambda _place: "static-site",
    "entry_id": _an_entry,
    "size": lambda _place: "0",
}


def _some_quota(_place: Place) -> Any:
    return {resource.value: amount * 100 for resource, amount in PLENTY.items()}


def _reason(_place: Place) -> Any:
    return {"reason": "the cause is mended"}


def _paused(place: Place) -> Any:
    with place.api.db.begin() as session:
        pause_engine(session, "tenant", SYSTEM, "test")
    return {"kind": "tenant"}


ANY_STATE = {"If-Match": "*"}
TABLE: dict[str, Access] = {
    # identity
    "POST /v1/login": Access(
        ANYBODY,
        body=lambda _place: {"email": "nobody@example.iq", "password": "wrong"},
        success=(401, 429),  # the door is open; what is said behind it is not
        is_read_only=True,
    ),
    "POST /v1/logout": Access(EVERYBODY),
    "GET /v1/me": Access(EVERYBODY),
    "GET /v1/tokens": Access(EVERYBODY),
    "POST /v1/tokens": Access(EVERYBODY, body=lambda _place: {"name": "pipeline"}),
    "DELETE /v1/tokens/{token_id}": Access(EVERYBODY),
    # tenancy
    "GET /v1/regions": Access(EVERYBODY),
    "GET /v1/agencies": Access(EVERYBODY),
    "POST /v1/agencies": Access(
        "operator",
        body=lambda _place: {
            "slug": f"a-{new_id('agy')[-20:]}",
            "name_ar": "جهة",
            "name_en": "Agency",
        },
    ),
    "GET /v1/agencies/{slug}": Access(EVERYBODY, CENTRE),
    "PUT /v1/agencies/{slug}/quota": Access(
        "operator", "operator", body=_some_quota, headers=ANY_STATE
    ),
    "PUT /v1/agencies/{slug}/budget": Access(
        "operator",
        "operator",
        body=lambda _place: {"currency": "IQD", "micros_per_hour": PLENTY_MICROS},
        headers=ANY_STATE,
    ),
    "GET /v1/agencies/{slug}/usage": Access(EVERYBODY, CENTRE),
    "GET /v1/agencies/{slug}/members": Access(EVERYBODY, CENTRE),
    "POST /v1/agencies/{slug}/members": Access(
        "owner operator",
        "operator",
        body=lambda _place: {"email": f"{new_id('psn')}@example.iq", "role": "viewer"},
    ),
    "DELETE /v1/agencies/{slug}/members/{person_id}/{role}": Access("owner operator", "operator"),
    # blueprints
    "GET /v1/blueprints": Access(EVERYBODY),
    "GET /v1/blueprints/{name}": Access(EVERYBODY),
    # releases: content by itself is nobody's wish, so that only a release is written down
    "POST /v1/agencies/{slug}/blobs/missing": Access(
        "developer owner", "", body=lambda _place: {"digests": [DIGEST]}, is_read_only=True
    ),
    "PUT /v1/agencies/{slug}/blobs/{digest}": Access(
        "developer owner",
        "",
        content=PAGE,
        path=f"/v1/agencies/{{slug}}/blobs/{DIGEST}?size={len(PAGE)}",
        is_read_only=True,
    ),
    "POST /v1/agencies/{slug}/releases": Access("developer owner", "", body=_files),
    "GET /v1/agencies/{slug}/releases/{release_id}": Access(EVERYBODY, CENTRE),
    # hosting
    "POST /v1/requests": Access(
        "developer owner",
        "",
        body=lambda place: a_wish(agency=place.agency.slug, name=_a_name()),
    ),
    "GET /v1/requests": Access(EVERYBODY, CENTRE, path="/v1/requests?agency={slug}"),
    "GET /v1/requests/{request_id}": Access(EVERYBODY, CENTRE),
    "POST /v1/requests/{request_id}/approve": Access("operator", "operator", body=_the_plans_hash),
    "POST /v1/requests/{request_id}/reject": Access("operator", "operator", body=_reason),
    "POST /v1/requests/{request_id}/withdraw": Access("developer owner", "", body=_reason),
    "GET /v1/hostings": Access(EVERYBODY, CENTRE, path="/v1/hostings?agency={slug}"),
    "GET /v1/hostings/{reference}": Access(EVERYBODY, CENTRE),
    "POST /v1/hostings/{reference}/end": Access("owner", "", body=_reason),
    "POST /v1/hostings/{reference}/change": Access(
        "developer owner", "", body=lambda _place: {"title": _a_name()}
    ),
    "POST /v1/hostings/{reference}/restore": Access("developer owner", "", body=_ended),
    "POST /v1/hostings/{reference}/suspend": Access("owner operator", "operator", body=_reason),
    "POST /v1/hostings/{reference}/resume": Access("owner operator", "operator", body=_suspended),
    "GET /v1/hostings/{reference}/settings": Access(EVERYBODY, CENTRE),
    "PATCH /v1/hostings/{reference}/settings": Access(
        "developer owner", "", body=_a_setting_for_an_application
    ),
    "POST /v1/hostings/{reference}/deployments": Access(
        "developer owner", "", body=lambda place: {"release": _a_release(place)}
    ),
    "POST /v1/hostings/{reference}/rollback": Access(
        "developer owner", "", body=_something_to_go_back_to
    ),
    "GET /v1/hostings/{reference}/deployments": Access(EVERYBODY, CENTRE),
    "GET /v1/deployments/{deployment_id}": Access(EVERYBODY, CENTRE),
    "GET /v1/hostings/{reference}/runs": Access(EVERYBODY, CENTRE),
    "GET /v1/runs/{run_id}": Access(EVERYBODY, CENTRE),
    # logs: not the centre's; what they say of citizens is the agency's own business
    "GET /v1/hostings/{reference}/logs": Access("developer owner", ""),
    "POST /v1/hostings/{reference}/logs/collections": Access(
        "developer owner", "", is_read_only=True
    ),
    "POST /v1/hostings/{reference}/attachments": Access(
        "developer owner", "", body=_a_database_for_an_application
    ),
    "GET /v1/hostings/{reference}/attachments": Access(EVERYBODY, CENTRE),
    "DELETE /v1/attachments/{attachment_id}": Access("developer owner", ""),
    "POST /v1/wishes/plan": Access("developer owner", "", body=_wishes, is_read_only=True),
    "POST /v1/wishes/apply": Access("developer owner", "", body=_wishes),
    # operations
    "GET /v1/operations/lives": Access(CENTRE),
    "GET /v1/operations/lives/{life_id}": Access(CENTRE, CENTRE),
    "POST /v1/operations/lives/{life_id}/retry": Access("operator", "operator", body=_reason),
    "POST /v1/operations/lives/{life_id}/abandon": Access("operator", "operator", body=_reason),
    "GET /v1/operations/pauses": Access(CENTRE),
    "POST /v1/operations/pause": Access(
        "operator", body=lambda _place: {"kind": "region", "reason": "maintenance"}
    ),
    "POST /v1/operations/resume": Access("operator", body=_paused),
    "GET /v1/operations/orphans": Access(CENTRE),
    "GET /v1/hostings/{hosting_id}/events": Access(
        EVERYBODY, CENTRE, path="/v1/hostings/{hosting_id}/events?format=json"
    ),
    "GET /v1/requests/{request_id}/events": Access(
        EVERYBODY, CENTRE, path="/v1/requests/{request_id}/events?format=json"
    ),
    # ledger
    "GET /v1/ledger/entries": Access(
        f"owner {CENTRE}", CENTRE, path="/v1/ledger/entries?agency={slug}"
    ),
    "GET /v1/ledger/receipts/{entry_id}": Access(
        f"owner {CENTRE}",
        CENTRE,
        denied=404,
        success=(409,),  # let in, but no checkpoint covers the entry without a worker
    ),
    "GET /v1/ledger/export": Access(CENTRE, success=(404,)),  # nothing is signed yet
    "GET /v1/ledger/checkpoints/latest": Access(ANYBODY, success=(404,)),
    "GET /v1/ledger/checkpoints/{size}/proof": Access(ANYBODY, success=(404,)),
    "GET /v1/ledger/key": Access(ANYBODY),
    # health: figures and targets are for operators and auditors when asked from elsewhere
    "GET /metrics": Access(CENTRE),
    "GET /v1/targets": Access(CENTRE),
    "GET /livez": Access(ANYBODY),
    "GET /readyz": Access(ANYBODY),
}

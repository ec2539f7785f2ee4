"""Who may do what through which door: one line a route, read by people and by the test.

`own` are the roles that are let in to what belongs to their own agency (or to nobody's), `foreign`
those that reach another agency's. A path parameter is filled by `FILLERS` of `things` with a fresh
thing of the right agency, so that every cell that lets somebody in must end in success.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from control_plane.kit.ids import new_id
from tests.api import PLENTY_MICROS
from tests.offer import a_wish
from tests.routes.things import (
    DIGEST,
    PAGE,
    Place,
    a_database_for_an_application,
    a_name,
    a_region_to_close,
    a_release,
    a_setting_for_an_application,
    ended,
    files,
    paused,
    reason,
    some_quota,
    something_to_go_back_to,
    suspended,
    the_plans_hash,
    wishes,
)

CENTRE = "operator auditor"
MEMBERS = "viewer developer owner"
EVERYBODY = f"{MEMBERS} {CENTRE}"
ANYBODY = f"anonymous {EVERYBODY}"


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
    "GET /v1/regions/{name}": Access(EVERYBODY, path="/v1/regions/local"),
    "PUT /v1/regions/{name}/state": Access(
        "operator", body=a_region_to_close, path="/v1/regions/spare/state"
    ),
    "GET /v1/tenants": Access(EVERYBODY, CENTRE, path="/v1/tenants?agency={slug}"),
    "GET /v1/tenants/{tenant_id}": Access(EVERYBODY, CENTRE),
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
        "operator", "operator", body=some_quota, headers=ANY_STATE
    ),
    "PUT /v1/agencies/{slug}/regions": Access(
        "operator",
        "operator",
        body=lambda _place: {"allowed": [], "default": None},
        headers=ANY_STATE,
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
    "GET /v1/agencies/{slug}/projects": Access(EVERYBODY, CENTRE),
    "PUT /v1/agencies/{slug}/projects/{project_id}": Access(
        "operator",
        "operator",
        body=lambda _place: {"domain_id": "default", "roles": {"admin": "owner"}},
    ),
    "DELETE /v1/agencies/{slug}/projects/{project_id}": Access("operator", "operator"),
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
    "POST /v1/agencies/{slug}/releases": Access("developer owner", "", body=files),
    "GET /v1/agencies/{slug}/releases/{release_id}": Access(EVERYBODY, CENTRE),
    # hosting
    "POST /v1/requests": Access(
        "developer owner",
        "",
        body=lambda place: a_wish(agency=place.agency.slug, name=a_name()),
    ),
    "GET /v1/requests": Access(EVERYBODY, CENTRE, path="/v1/requests?agency={slug}"),
    "GET /v1/requests/{request_id}": Access(EVERYBODY, CENTRE),
    "POST /v1/requests/{request_id}/approve": Access("operator", "operator", body=the_plans_hash),
    "POST /v1/requests/{request_id}/reject": Access("operator", "operator", body=reason),
    "POST /v1/requests/{request_id}/withdraw": Access("developer owner", "", body=reason),
    "GET /v1/hostings": Access(EVERYBODY, CENTRE, path="/v1/hostings?agency={slug}"),
    "GET /v1/hostings/{reference}": Access(EVERYBODY, CENTRE),
    "POST /v1/hostings/{reference}/end": Access("owner", "", body=reason),
    "POST /v1/hostings/{reference}/change": Access(
        "developer owner", "", body=lambda _place: {"title": a_name()}
    ),
    "POST /v1/hostings/{reference}/restore": Access("developer owner", "", body=ended),
    "POST /v1/hostings/{reference}/suspend": Access("owner operator", "operator", body=reason),
    "POST /v1/hostings/{reference}/resume": Access("owner operator", "operator", body=suspended),
    "GET /v1/hostings/{reference}/settings": Access(EVERYBODY, CENTRE),
    "PATCH /v1/hostings/{reference}/settings": Access(
        "developer owner", "", body=a_setting_for_an_application
    ),
    "POST /v1/hostings/{reference}/deployments": Access(
        "developer owner", "", body=lambda place: {"release": a_release(place)}
    ),
    "POST /v1/hostings/{reference}/rollback": Access(
        "developer owner", "", body=something_to_go_back_to
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
        "developer owner", "", body=a_database_for_an_application
    ),
    "GET /v1/hostings/{reference}/attachments": Access(EVERYBODY, CENTRE),
    "DELETE /v1/attachments/{attachment_id}": Access("developer owner", ""),
    "POST /v1/wishes/plan": Access("developer owner", "", body=wishes, is_read_only=True),
    "POST /v1/wishes/apply": Access("developer owner", "", body=wishes),
    # operations
    "GET /v1/operations/lives": Access(CENTRE),
    "GET /v1/operations/lives/{life_id}": Access(CENTRE, CENTRE),
    "POST /v1/operations/lives/{life_id}/retry": Access("operator", "operator", body=reason),
    "POST /v1/operations/lives/{life_id}/abandon": Access("operator", "operator", body=reason),
    "GET /v1/operations/pauses": Access(CENTRE),
    "POST /v1/operations/pause": Access(
        "operator", body=lambda _place: {"kind": "region", "reason": "maintenance"}
    ),
    "POST /v1/operations/resume": Access("operator", body=paused),
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

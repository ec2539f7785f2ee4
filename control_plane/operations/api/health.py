"""What watches the platform: figures, targets, and whether this process lives and can serve."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from sqlmodel import select

from control_plane.identity.access import Desk, DeskDep, authenticate, open_to_all
from control_plane.identity.rules import Permission
from control_plane.kit.errors import Unavailable
from control_plane.kit.log import get_log
from control_plane.operations import actions, queries
from control_plane.operations.rules import ScrapeRefused
from control_plane.operations.schemas import HealthOut, TargetsOut

router = APIRouter(tags=["health"])
log = get_log("operations")
_LOOPBACK = frozenset({"127.0.0.1", "::1"})
_FORWARDED = ("forwarded", "x-forwarded-for", "via")


def scraping(desk: DeskDep, request: Request) -> None:
    """Let in this machine's own Prometheus, or a token with `operation:read`.

    What came through a proxy is not this machine, even if the proxy is. Raises: NotAuthenticated,
    ScrapeRefused.
    """
    address = request.client.host if request.client else ""
    if address in _LOOPBACK and not any(name in request.headers for name in _FORWARDED):
        return
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    actor = authenticate(desk, secret if scheme.lower() == "bearer" else None)
    if not actor.may(Permission.OPERATION_READ):
        raise ScrapeRefused


@router.get("/metrics", dependencies=[open_to_all(), Depends(scraping)], response_class=Response)
def show_metrics(desk: DeskDep) -> Response:
    """Give figures of this process and of the database in Prometheus's text form."""
    with desk.reading() as session:
        figures = queries.load_figures(session)
    return Response(actions.render_metrics(figures), media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/targets", dependencies=[open_to_all(), Depends(scraping)])
def list_targets(
    desk: DeskDep,
    of: Annotated[
        Literal["processes", "sites"],
        Query(description="`sites`: every name served, for a prober"),
    ] = "processes",
) -> list[TargetsOut]:
    """Name what there is to watch, in the form of Prometheus's HTTP service discovery."""
    if of == "processes":
        return [
            TargetsOut(targets=[address], labels={"process": process})
            for process, address in desk.targets.items()
        ]
    with desk.reading() as session:
        sites = queries.list_sites(session)
    return [
        TargetsOut(
            targets=[f"https://{site.hostname}/"],
            labels={"agency": site.agency, "hosting": site.hosting, "region": site.region},
        )
        for site in sites
    ]


@router.get("/livez", dependencies=[open_to_all()])
async def say_alive() -> HealthOut:
    """Say that the process answers; it asks nobody else."""
    return HealthOut(status="alive", checks={})


@router.get("/readyz", dependencies=[open_to_all()], responses={503: {"model": HealthOut}})
def say_ready(desk: DeskDep, response: Response) -> HealthOut:
    """Say whether requests can be served and carried out."""
    checks = _run_checks(desk)
    is_ready = all(checks.values())
    if not is_ready:
        response.status_code = 503
        log.warning("not_ready", failed=[name for name, passed in checks.items() if not passed])
    return HealthOut(status="ready" if is_ready else "not ready", checks=checks)


def _run_checks(desk: Desk) -> dict[str, bool]:
    checks = {"database": False}
    try:
        with desk.reading() as session:
            checks["database"] = session.exec(select(1)).one() == 1
        for name, check in desk.checks.items():
            checks[name] = check()
    except Unavailable:
        return {**dict.fromkeys(desk.checks, False), **checks}
    return checks

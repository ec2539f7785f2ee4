"""What a data centre comes to, told so that one in memory and one on machines can be compared."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from sqlmodel import Session, select

from control_plane.engine.models import Life
from control_plane.hosting.models import Hosting, Request
from control_plane.hostnames.models import Hostname
from control_plane.ledger.models import LedgerEntry
from control_plane.ports.cloud.port import ServerState
from control_plane.ports.edge.port import Route, RouteState
from control_plane.releases.models import Deployment
from control_plane.tenancy.models import Allocation, Reservation, Tenant
from tests.faults.centre import QuietCentre


def _is_uneven(action: str) -> bool:
    # How many images there are is the region's own affair; a run that was lost is followed by one.
    return action == "image.seen" or action.startswith("run.")


COLUMNS: dict[type[Any], tuple[str, ...]] = {
    Hosting: ("id", "status", "size", "generation", "observed_generation"),
    Request: ("hosting_id", "kind", "status", "version"),
    Deployment: ("hosting_id", "number", "status", "rollback_of", "progress"),
    Hostname: ("hosting_id", "name", "status"),
    Tenant: ("name", "status"),
    Reservation: ("subject_id", "resource", "amount", "state"),
    Allocation: ("serial", "subject_id"),
    Life: ("kind", "step", "state"),
}


def outline_of(centre: QuietCentre) -> list[str]:
    """Return the states of all things, what is in the region, what visitors see: sorted lines."""
    with centre.db.read() as session:
        names = {hosting.id: hosting.name for hosting in session.exec(select(Hosting))}
        lines = [*_rows(session), *_ledger(session)]
        wishes = {
            one.id: f"{one.kind} {names[one.hosting_id]}" for one in session.exec(select(Request))
        }
    lines += [_server(centre, hosting_id) for hosting_id in names]
    lines += [f"object {one.kind} {one.holds_data}" for one in centre.world.cloud.list_objects()]
    lines += [_site(centre, route) for route in centre.world.edge.list_routes()]
    for part, name in (*names.items(), *wishes.items(), (centre.world.zone, "the.zone")):
        lines = [line.replace(part, name) for line in lines]
    return sorted(lines)


def _rows(session: Session) -> Iterator[str]:
    for table, columns in COLUMNS.items():
        for row in session.exec(select(table)):
            told = [str(getattr(row, column)) for column in columns]
            yield " ".join([table.__name__, *told])


def _ledger(session: Session) -> Iterator[str]:
    actions = Counter(entry.action for entry in session.exec(select(LedgerEntry)))
    counted = ((action, count) for action, count in actions.items() if not _is_uneven(action))
    return (f"ledger {action}: {count}" for action, count in counted)


def _server(centre: QuietCentre, hosting_id: str) -> str:
    fact = centre.world.cloud.observe_server(hosting_id)
    is_whole = fact.state is not ServerState.RUNNING or not fact.reasons
    return f"server {hosting_id} {fact.state} {is_whole}"


def _site(centre: QuietCentre, route: Route) -> str:
    seen = centre.world.edge.observe(route.hostname)
    # A page of the data centre's own carries the number of the request.
    body = seen.body if route.state is RouteState.SERVING else b""
    return f"site {route.hostname} {route.state} {seen.status} {body!r}"

"""The edge's life: its certificate is renewed in time, and its routes follow the rows."""

from datetime import datetime, timedelta
from functools import partial

from sqlmodel import Session, col, select

from control_plane.engine import lives
from control_plane.engine.birth import Birth
from control_plane.engine.outcome import Done, Go, Outcome
from control_plane.engine.registry import Ctx, Flow, Step
from control_plane.hosting.models import Hosting
from control_plane.hosting.rules import GONE
from control_plane.hostnames.models import EdgeState, Hostname
from control_plane.hostnames.rules import HostnameStatus
from control_plane.kit import clock
from control_plane.ledger import actions as ledger
from control_plane.ledger.models import LedgerLog
from control_plane.ledger.rules import LOG_ID, life_actor
from control_plane.ports.edge.port import Certificate

EDGE_LIFE = Birth("edge", 1, "certify", deadline=timedelta(minutes=2))
NAME = "main"
DAYS = 90  # a leaf's validity
RENEW_BEFORE = timedelta(days=30)
REST = timedelta(seconds=30)


def ensure_edge_life(session: Session) -> None:
    """Start the life of the edge, if there is none yet."""
    if lives.find_life(session, EDGE_LIFE.kind, NAME) is None:
        lives.start_life(session, EDGE_LIFE, NAME)


def certify(ctx: Ctx) -> Outcome:
    """Give the edge a certificate for the zone before the last one runs out."""
    zone, not_after = ctx.load(_load)
    if not_after is not None and not_after - clock.now() > RENEW_BEFORE:
        return Go("follow")
    issued = ctx.ports.keyring.issue_certificate([f"*.{zone}"], DAYS)
    certificate = Certificate(f"*.{zone}", issued.chain_pem, issued.key_pem)
    ctx.ports.edge.ensure_certificate(certificate)
    return Go("follow", writes=partial(_write_certificate, ctx, issued.not_after))


def follow(ctx: Ctx) -> Outcome:
    """Remove routes that no hosting claims; each hosting's own life sees to its route."""
    routes = list(ctx.ports.edge.list_routes())
    claimed = ctx.load(_load_claimed)
    for route in routes:
        if route.hostname not in claimed:
            ctx.ports.edge.remove_route(route.hostname)
    return Go("certify", after=REST, writes=_write_applied)


def stop(_ctx: Ctx) -> Outcome:
    """Stop looking after the edge; it goes on serving."""
    return Done()


EDGE_FLOW = Flow(
    birth=EDGE_LIFE,
    ending="stop",
    steps={
        "certify": Step(certify, EDGE_LIFE.deadline),
        "follow": Step(follow),
        "stop": Step(stop),
    },
)


def _load(session: Session) -> tuple[str, datetime | None]:
    # The log's name begins with the zone: `<zone>/ledger`.
    zone = session.get_one(LedgerLog, LOG_ID).origin.partition("/")[0]
    state = session.get(EdgeState, NAME)
    return zone, state.certificate_not_after if state is not None else None


def _load_claimed(session: Session) -> frozenset[str]:
    query = (
        select(Hostname.name)
        .join(Hosting, col(Hosting.id) == col(Hostname.hosting_id))
        .where(col(Hostname.status) != HostnameStatus.RELEASED, col(Hosting.status).not_in(GONE))
    )
    return frozenset(session.exec(query).all())


def _state(session: Session) -> EdgeState:
    return session.get(EdgeState, NAME) or EdgeState(name=NAME)


def _write_certificate(ctx: Ctx, not_after: datetime, session: Session) -> None:
    state = _state(session)
    state.certificate_not_after = not_after
    session.add(state)
    ledger.append(
        session,
        actor_id=life_actor(ctx.claim.life_id),
        action="certificate.issued",
        subject_id=NAME,
        agency_id=None,
        payload={"not_after": not_after.isoformat()},
    )


def _write_applied(session: Session) -> None:
    state = _state(session)
    state.applied_at = clock.now()
    session.add(state)

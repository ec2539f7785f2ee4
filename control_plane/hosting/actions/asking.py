"""Somebody wants what a hosting's services wrote a moment ago: its life looks as soon as it can."""

from sqlmodel import Session

from control_plane.engine import lives
from control_plane.hosting import queries
from control_plane.hosting.models import Hosting
from control_plane.hosting.rules import GONE, LIFE
from control_plane.kit import clock
from control_plane.logs import queries as logs
from control_plane.logs.rules import may_be_asked


def may_ask_for_logs(session: Session, hosting: Hosting) -> bool:
    """Whether there is anything to be asked, and the last time was long enough ago."""
    if hosting.status in GONE:
        return False
    collected_at = logs.find_collected_at(session, hosting.id)
    return may_be_asked(collected_at, hosting.logs_asked_at, clock.now())


def ask_for_logs(session: Session, hosting_id: str) -> Hosting:
    """Let the hosting's life collect its log now. No state changes, so the ledger has no entry."""
    lives.signal_life(session, LIFE.kind, hosting_id)  # locks the life first, as its steps do
    hosting = queries.get_hosting(session, hosting_id)
    hosting.logs_asked_at = clock.now()
    session.add(hosting)
    return hosting

"""What is done with regions: workers say which they serve, operators which take new tenants."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlmodel import Session, col, delete

from control_plane.engine import lives
from control_plane.kit import clock
from control_plane.kit.ids import new_id
from control_plane.ledger import actions as ledger
from control_plane.ledger.rules import SYSTEM
from control_plane.tenancy import queries
from control_plane.tenancy.models import AgencyRegion, Region
from control_plane.tenancy.rules import (
    REGION_LIFE,
    RegionInUse,
    RegionKind,
    RegionNotAllowed,
    RegionState,
    RegionStateRefused,
    may_move_region,
)


def ensure_region(
    session: Session, name: str, kind: RegionKind, memory_mib: int | None = None
) -> Region:
    """Return the region of this name, which a worker serves from now on; a new one starts its life.

    `memory_mib` is what servers may have there altogether, as far as that is said.
    """
    region = queries.find_region(session, name)
    if region is None:
        region = Region(id=new_id("reg"), name=name, kind=kind, created_at=clock.now())
        session.add(region)
        session.flush()
        lives.start_life(session, REGION_LIFE, region.id)
        _log(session, SYSTEM, "region.added", region, kind=kind.value)
    _serve(session, region, is_served=True)
    region.memory_mib = memory_mib
    session.add(region)
    return region


def drop_other_regions(session: Session, served: Collection[str]) -> None:
    """Write down that no worker serves any region but these (by id): nothing new gets there."""
    for region in queries.list_regions(session):
        if region.id not in served:
            _serve(session, region, is_served=False)


def _serve(session: Session, region: Region, *, is_served: bool) -> None:
    if region.is_served == is_served:
        return
    region.is_served = is_served
    session.add(region)
    action = "region.served" if is_served else "region.dropped"
    _log(session, SYSTEM, action, region)


def set_region_state(
    session: Session, actor_id: str, name: str, to: RegionState, reason: str
) -> Region:
    """Open a region to new tenants, close it, or retire it for good.

    What runs there goes on. Raises: NotFound, RegionStateRefused, RegionInUse.
    """
    region = queries.get_region(session, name)
    lives.signal_life(session, REGION_LIFE.kind, region.id)  # locks it first, as its step does
    session.refresh(region, with_for_update=True)
    present = RegionState(region.state)
    if not may_move_region(present, to):
        raise RegionStateRefused(region=name, present=present.value, to=to.value)
    if present == to:
        return region
    if to == RegionState.RETIRED:
        tenants = queries.count_tenants(session, region.id)
        if tenants:
            raise RegionInUse(region=name, tenants=tenants)
        lives.request_ending(session, REGION_LIFE.kind, region.id)
    region.state = to.value
    session.add(region)
    facts = {"before": present.value, "reason": reason}
    _log(session, actor_id, f"region.{to.value}", region, **facts)
    return region


def set_agency_regions(
    session: Session, actor_id: str, agency_id: str, allowed: Sequence[str], default: str | None
) -> None:
    """Say which regions an agency's new tenants may be in (by name; none: any), and where first.

    What it has stays. Raises: NotFound, RegionNotAllowed (the default is none of them).
    """
    if default is not None and default not in allowed:
        raise RegionNotAllowed(region=default, known=", ".join(allowed))
    queries.lock_agency(session, agency_id)
    regions = [queries.get_region(session, name) for name in allowed]
    session.connection().execute(
        delete(AgencyRegion).where(col(AgencyRegion.agency_id) == agency_id)
    )
    for region in regions:
        is_default = region.name == default
        session.add(AgencyRegion(agency_id=agency_id, region_id=region.id, is_default=is_default))
    session.flush()
    ledger.append(
        session,
        actor_id=actor_id,
        action="regions.set",
        subject_id=agency_id,
        agency_id=agency_id,
        payload={"allowed": list(allowed), "default": default},
    )


def _log(session: Session, actor_id: str, action: str, region: Region, **facts: Any) -> None:
    ledger.append(
        session,
        actor_id=actor_id,
        action=action,
        subject_id=region.id,
        agency_id=None,
        payload={"name": region.name, **facts},
    )

"""What requests hold of quota and budget, and hand over when what they wished for is fact."""

from sqlmodel import Session

from control_plane.hosting.models import Request
from control_plane.hosting.rules import Making
from control_plane.tenancy import actions as tenancy
from control_plane.tenancy.rules import Resource


def reserve_more(
    session: Session, request: Request, before: Making, after: Making, actor_id: str
) -> None:
    """Hold, in the request's name, what a change takes more than there is now."""
    had, needs = needs_of(before), needs_of(after)
    more = {resource: max(0, amount - had[resource]) for resource, amount in needs.items()}
    if any(more.values()):
        tenancy.reserve(session, request.agency_id, request.id, more, actor_id=actor_id)


def needs_of(making: Making) -> dict[Resource, int]:
    """Return what a hosting takes of quota and budget."""
    size = making.blueprint.size(making.size)
    return {**size.needs, Resource.COST: making.price.micros}

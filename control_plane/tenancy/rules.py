"""Agencies and what they may use: tenants' states, quotas, reservations, addresses. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Address
from typing import ClassVar

from control_plane.engine.birth import Birth
from control_plane.kit.errors import Problem


class RegionKind(StrEnum):
    """Which adapter serves a region."""

    MEMORY = "memory"
    LOCAL = "local"
    OPENSTACK = "openstack"


class RegionState(StrEnum):
    """`closed` takes no new tenants, `retired` nothing new at all, and never again."""

    OPEN = "open"
    CLOSED = "closed"
    RETIRED = "retired"


class PlacedBy(StrEnum):
    """Why a hosting is in its region."""

    WISH = "wish"
    TENANT = "tenant"
    AGENCY = "agency"
    ONLY = "only"
    ROOM = "room"


PLACED_BY: dict[PlacedBy, str] = {
    PlacedBy.WISH: "The request names the region.",
    PlacedBy.TENANT: "The tenant is in this region already.",
    PlacedBy.AGENCY: "The data centre has chosen this region for the agency.",
    PlacedBy.ONLY: "It is the only region that is open and has the image.",
    PlacedBy.ROOM: "Of the regions that are open and have the image, it has most room left.",
}


class TenantStatus(StrEnum):
    """`building` until the cloud has shown it; `ended` when it is gone."""

    BUILDING = "building"
    ACTIVE = "active"
    ENDING = "ending"
    ENDED = "ended"


class Resource(StrEnum):
    """What is counted against a quota, or (cost) against the budget."""

    SERVERS = "servers"
    CPU_MILLIS = "cpu_millis"
    MEMORY_MIB = "memory_mib"
    DISK_MIB = "disk_mib"
    COST = "cost"  # micro-units per hour, in the agency's currency


class ReservationState(StrEnum):
    """`held` since the submission, `committed` once active, `released` when it came to an end."""

    HELD = "held"
    COMMITTED = "committed"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Addresses:
    """What the kernel limits, computed from a serial number that is unique in the region."""

    serial: int
    uid_base: int
    server_v4: IPv4Address


TENANT_LIFE = Birth("tenant", 1, "build")
REGION_LIFE = Birth("region", 1, "observe")
QUARANTINE = timedelta(hours=1)  # longer than anybody's caches of an address or a connection

UIDS_PER_SERVER = 0x10000
FIRST_UID_BLOCK = 16  # below it live the host's own users
TENANT_NETWORK = IPv4Address("100.64.0.0")  # RFC 6598, a /10: room for a million /30s
MAX_SERIAL = 65_000  # uids are 32 bits: (65,000 + 16) * 65,536 < 2**32


def addresses_of(serial: int) -> Addresses:
    """Return what belongs to a serial (1..65,000): a /30 of which the server has the third."""
    if not 1 <= serial <= MAX_SERIAL:
        raise RegionFull(serial=serial)
    base = UIDS_PER_SERVER * (serial + FIRST_UID_BLOCK)
    return Addresses(serial, base, TENANT_NETWORK + 4 * serial + 2)


@dataclass(frozen=True, slots=True)
class Place:
    """A region as a hosting of one tenant may be placed in it.

    `room_mib` is the memory that is not reserved, of what the operator says there is; negative,
    and comparable still, where nothing is said.
    """

    region: str
    state: RegionState
    is_served: bool  # a worker has settings for it
    has_tenant: bool
    has_image: bool  # of what is asked for
    room_mib: int
    is_allowed: bool = True  # the data centre lets new tenants of the agency in
    is_default: bool = False  # and prefers it


def may_move_region(present: RegionState, to: RegionState) -> bool:
    """Whether an operator may decide so: what is retired stays so."""
    return present == to or present != RegionState.RETIRED


def choose_place(places: Sequence[Place], wished: str | None) -> tuple[Place, PlacedBy]:
    """Return where a hosting of a tenant is to be, and why.

    Where it is wished; else where its tenant is; else in the agency's own region; else in the open
    one with the image that has most room left, of two with as much in the one whose name comes
    first. Raises: RegionUnknown, RegionNotServed, RegionNotAllowed, RegionNotOpen, NoRegionOpen,
    RegionUnnamed.
    """
    if wished is not None:
        return _choose_wished(places, wished), PlacedBy.WISH
    inside = [one for one in places if one.has_tenant and _takes(one)]
    if len(inside) == 1:
        return inside[0], PlacedBy.TENANT
    if inside:
        raise RegionUnnamed(known=_listed(inside))
    open_ones = [one for one in places if one.state == RegionState.OPEN and _takes(one)]
    if not open_ones:
        raise NoRegionOpen
    preferred = [one for one in open_ones if one.is_default]
    if preferred:
        return preferred[0], PlacedBy.AGENCY
    fit = [one for one in open_ones if one.has_image] or open_ones
    best = min(fit, key=lambda one: (-one.room_mib, one.region))
    return best, PlacedBy.ONLY if len(fit) == 1 else PlacedBy.ROOM


def _choose_wished(places: Sequence[Place], wished: str) -> Place:
    for one in places:
        if one.region != wished:
            continue
        if not one.is_served:
            raise RegionNotServed(region=wished)
        if not (one.is_allowed or one.has_tenant):
            allowed = [place for place in places if place.is_allowed]
            raise RegionNotAllowed(region=wished, known=_listed(allowed))
        if not _takes(one):
            raise RegionNotOpen(region=wished, state=one.state.value)
        return one
    raise RegionUnknown(region=wished, known=_listed(places))


def _takes(place: Place) -> bool:
    is_open = place.state == RegionState.OPEN and place.is_allowed
    return place.is_served and (is_open or (place.has_tenant and not _is_retired(place)))


def _is_retired(place: Place) -> bool:
    return place.state == RegionState.RETIRED


def _listed(places: Sequence[Place]) -> str:
    return ", ".join(one.region for one in places)


class RegionUnknown(Problem):
    """There is no such region."""

    code: ClassVar[str] = "region_unknown"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "There is no region {region}"
    mend: ClassVar[str] = "Name one of: {known}."


class RegionUnnamed(Problem):
    """Tenants of this name are in several regions, and the wish names none."""

    code: ClassVar[str] = "region_unnamed"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "It isn't said in which region the hosting shall be"
    mend: ClassVar[str] = "Name one of: {known}."


class RegionNotServed(Problem):
    """No worker has settings for the region."""

    code: ClassVar[str] = "region_not_served"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "Nothing can be made in the region {region} at present"
    mend: ClassVar[str] = (
        "Name another region, or ask the data centre: the platform's settings don't name it."
    )


class RegionNotOpen(Problem):
    """An operator closed the region to new tenants, or retired it."""

    code: ClassVar[str] = "region_not_open"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The region {region} takes no new tenants: it is {state}"
    mend: ClassVar[str] = "Name another region, or leave it to the platform to choose one."


class RegionNotAllowed(Problem):
    """The data centre keeps the agency to other regions."""

    code: ClassVar[str] = "region_not_allowed"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The agency may have no new tenants in the region {region}"
    mend: ClassVar[str] = "Name one of: {known}."


class NoRegionOpen(Problem):
    """No region takes new tenants."""

    code: ClassVar[str] = "no_region_open"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "No region takes new tenants of the agency at present"
    mend: ClassVar[str] = "Ask the data centre to open one."


class RegionStateRefused(Problem):
    """The region can't come into this state from the one that it is in."""

    code: ClassVar[str] = "region_state_refused"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The region {region} is {present} and can't become {to}"
    mend: ClassVar[str] = "What is retired stays so; anything else may be opened or closed."


class RegionInUse(Problem):
    """Tenants are in a region that is to be retired."""

    code: ClassVar[str] = "region_in_use"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "There are tenants in the region {region}: {tenants}"
    mend: ClassVar[str] = "Close it, let its hostings end or move, and retire it then."


class QuotaExceeded(Problem):
    """The agency's quota has too little of something left."""

    code: ClassVar[str] = "quota_exceeded"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The quota is too small: {resource} needs {need}, {left} left"
    mend: ClassVar[str] = "Choose a smaller size, end a hosting, or ask the data centre for more."


class BudgetExceeded(Problem):
    """The agency's monthly budget has too little left."""

    code: ClassVar[str] = "budget_exceeded"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The budget is too small: {need} {currency} a month, {left} left"
    mend: ClassVar[str] = "Choose a smaller size, end a hosting, or ask for a larger budget."


class RegionFull(Problem):
    """No address is left in the region."""

    code: ClassVar[str] = "region_full"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The region has no room for another server"
    mend: ClassVar[str] = "Choose another region, or try again later."


class SlugTaken(Problem):
    """Another agency has this short name."""

    code: ClassVar[str] = "slug_taken"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "There is an agency {slug} already"
    mend: ClassVar[str] = "Choose another short name."


class CurrencyUnfit(Problem):
    """An amount in a currency that isn't used here."""

    code: ClassVar[str] = "currency_unfit"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "Amounts in {currency} don't fit here"
    mend: ClassVar[str] = "Use {expected}."


class AgencySuspended(Problem):
    """The agency may ask for nothing at present."""

    code: ClassVar[str] = "agency_suspended"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The agency {agency} is suspended"
    mend: ClassVar[str] = "What runs goes on. Ask the data centre to lift the suspension."


class TenantEnding(Problem):
    """The tenant of this name is being taken away at the moment."""

    code: ClassVar[str] = "tenant_ending"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The tenant {tenant} is just ending"
    mend: ClassVar[str] = "Try again when it has ended, or choose another tenant."

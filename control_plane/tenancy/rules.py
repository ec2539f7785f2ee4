"""Agencies and what they may use: tenants' states, quotas, reservations, addresses. Pure."""

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

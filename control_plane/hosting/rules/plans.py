"""The plan: exactly what a request would make, change and destroy, and what it costs. Pure.

Its hash is what is approved. It covers what people decide on: the blueprint's digest, the size,
the inputs, the image's digest, the price; not addresses or hosts, which don't matter to them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from control_plane.blueprints.rules import Blueprint, digest_of
from control_plane.hosting.rules.status import RequestKind
from control_plane.kit.money import HOURS_PER_MONTH, Money

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Placement:
    """Whose a hosting is and where, all by the names that people use."""

    agency: str
    region: str
    tenant: str
    hosting: str
    hostname: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan that is not a row yet."""

    body: dict[str, Any]
    price: Money

    @property
    def hash(self) -> str:
        """SHA-256 over the canonical JSON of the whole plan."""
        return digest_of(self.body)


@dataclass(frozen=True, slots=True)
class Making:
    """What a hosting is to be made of."""

    blueprint: Blueprint
    size: str
    inputs: Mapping[str, Any]
    image: str
    price: Money


def new_create_plan(place: Placement, making: Making) -> Draft:
    """Return the plan of a new hosting."""
    blueprint = making.blueprint
    body = {
        **_head(RequestKind.CREATE, place),
        "blueprint": {"name": blueprint.name, "digest": blueprint.digest},
        "size": making.size,
        "inputs": dict(making.inputs),
        "image": making.image,
        "make": [
            {"what": "tenant", "name": place.tenant, "unless_there": True},
            {"what": "server", "name": place.hosting, **_server(making)},
            {"what": "hostname", "name": place.hostname},
            {"what": "deployment", "number": 0},
        ],
        "change": [],
        "destroy": [],
        "egress": [],  # nothing goes out of a tenant unless a plan lists it
        "cost": _cost(making.price),
    }
    return Draft(body, making.price)


def new_end_plan(place: Placement, saves: Money, retention_days: int) -> Draft:
    """Return the plan of a hosting's end: at once out of service, destroyed after a time."""
    nothing = Money(saves.currency, 0)
    body = {
        **_head(RequestKind.END, place),
        "make": [],
        "change": [
            {"what": "hostname", "name": place.hostname, "to": "released"},
            {"what": "server", "name": place.hosting, "to": "stopped"},
        ],
        "destroy": [
            {"what": "server", "name": place.hosting, "after_days": retention_days},
            {"what": "content", "name": place.hosting, "after_days": retention_days},
        ],
        "egress": [],
        "cost": _cost(nothing),
        "saves": _cost(saves),
    }
    return Draft(body, nothing)


def new_change_plan(
    place: Placement, before: Making, after: Making, titles: tuple[str, str]
) -> Draft:
    """Return the plan of a change; `titles` are those before and after.

    What is not named under `change` stays as it is, and so does all content.
    """
    change: list[dict[str, Any]] = []
    if before.size != after.size:
        change.append(
            {
                "what": "server",
                "name": place.hosting,
                "from": _server(before),
                "to": _server(after),
            }
        )
    pairs = {
        "inputs": (dict(before.inputs), dict(after.inputs)),
        "image": (before.image, after.image),
        "title": titles,
    }
    change += [
        {"what": what, "name": place.hosting, "from": old, "to": new}
        for what, (old, new) in pairs.items()
        if old != new
    ]
    body = {
        **_head(RequestKind.CHANGE, place),
        "blueprint": {"name": after.blueprint.name, "digest": after.blueprint.digest},
        "size": after.size,
        "inputs": dict(after.inputs),
        "image": after.image,
        "title": titles[1],
        "make": [],
        "change": change,
        "destroy": [],
        "egress": [],
        "cost": _cost(after.price),
        "before": _cost(before.price),
    }
    return Draft(body, after.price)


def new_restore_plan(place: Placement, making: Making) -> Draft:
    """Return the plan by which what has ended comes back, with the content it had."""
    body = {
        **_head(RequestKind.RESTORE, place),
        "blueprint": {"name": making.blueprint.name, "digest": making.blueprint.digest},
        "size": making.size,
        "inputs": dict(making.inputs),
        "image": making.image,
        "make": [{"what": "hostname", "name": place.hostname}],
        "change": [{"what": "server", "name": place.hosting, "to": "running"}],
        "destroy": [],
        "egress": [],
        "cost": _cost(making.price),
    }
    return Draft(body, making.price)


def per_month(price: Money) -> Money:
    """Return what a price per hour comes to in a month, exactly."""
    return price.times(HOURS_PER_MONTH)


def spell(amount: Money) -> str:
    """Return an amount as people read it, such as `5,110.000 IQD`, rounded once."""
    return f"{amount.rounded():,} {amount.currency}"


def _head(kind: RequestKind, place: Placement) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "kind": kind.value,
        "agency": place.agency,
        "region": place.region,
        "tenant": place.tenant,
        "hosting": place.hosting,
    }


def _server(making: Making) -> dict[str, int]:
    size = making.blueprint.size(making.size)
    return {
        "memory_mib": size.memory_mib,
        "cpu_millis": size.cpu_millis,
        "pids": size.pids,
        "disk_mib": size.disk_mib,
    }


def _cost(price: Money) -> dict[str, Any]:
    return {
        "currency": price.currency,
        "micros_per_hour": price.micros,
        "micros_per_month": per_month(price).micros,
    }

"""What an agency has and may have, in amounts that people say."""

from collections.abc import Iterable
from typing import Any

from control_plane.cli.terminal import tr
from control_plane.kit.money import HOURS_PER_MONTH, Money

RESOURCES = {
    "servers": "servers",
    "cpu_millis": "processors, ‰",
    "memory_mib": "memory, MiB",
    "disk_mib": "disk, MiB",
    "cost": "cost a month, {currency}",
}


def name_of(resource: str, currency: str) -> str:
    """Return what a resource is called."""
    return tr(RESOURCES.get(resource, resource), currency=currency)


def amount_of(resource: str, amount: int, currency: str) -> str:
    """Return an amount of a resource; money as what it is in a month."""
    if resource != "cost":
        return f"{amount:,}"
    return f"{Money(currency, amount).times(HOURS_PER_MONTH).rounded():,}"


def left_of(uses: Iterable[dict[str, Any]], currency: str) -> str:
    """Return in one line what is left of a quota and a budget."""
    return " · ".join(
        f"{name_of(use['resource'], currency)}: {amount_of(use['resource'], use['left'], currency)}"
        for use in uses
    )

"""What goes out of blueprints over HTTP."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from control_plane.blueprints.models import BlueprintVersion, Price
from control_plane.blueprints.rules import Blueprint, Wheels, Words
from control_plane.kit.money import HOURS_PER_MONTH, Money


class PriceOut(BaseModel):
    """What a size costs now: micro-units (millionths) per hour, and what that is in a month."""

    currency: str
    micros_per_hour: int
    per_month: str
    effective_from: datetime

    @classmethod
    def of(cls, price: Price) -> "PriceOut":
        """Show a row."""
        month = Money(price.currency, price.micros_per_hour).times(HOURS_PER_MONTH)
        return cls(
            currency=price.currency,
            micros_per_hour=price.micros_per_hour,
            per_month=f"{month.rounded():,} {price.currency}",
            effective_from=price.effective_from,
        )


class SizeOut(BaseModel):
    """One size: what its server gets, and what it costs."""

    name: str
    label: Words
    memory_mib: int
    cpu_millis: int
    pids: int
    disk_mib: int
    prices: list[PriceOut] = Field(description="One a currency; none: it can't be asked for")


class BlueprintOut(BaseModel):
    """A kind of hosting in its present version."""

    name: str
    version: str
    digest: str
    title: Words
    summary: Words
    inputs: dict[str, Any] = Field(
        description="JSON Schema (draft 2020-12); `x-label` and `x-help` are for people"
    )
    sizes: list[SizeOut]
    wheels: Wheels | None = Field(
        description="The Python and the platforms for which a release carries its packages"
    )

    @classmethod
    def of(
        cls,
        version: BlueprintVersion,
        blueprint: Blueprint,
        prices: Mapping[str, list[Price]],
    ) -> "BlueprintOut":
        """Show a version with the prices of its sizes."""
        return cls(
            name=version.name,
            version=version.id,
            digest=version.digest,
            title=blueprint.title,
            summary=blueprint.summary,
            inputs=blueprint.inputs.as_json_schema(),
            sizes=[
                SizeOut(
                    name=name,
                    label=size.label,
                    memory_mib=size.memory_mib,
                    cpu_millis=size.cpu_millis,
                    pids=size.pids,
                    disk_mib=size.disk_mib,
                    prices=[PriceOut.of(price) for price in prices.get(name, [])],
                )
                for name, size in blueprint.sizes.items()
            ],
            wheels=blueprint.wheels,
        )


class BlueprintsOut(BaseModel):
    """All blueprints: there are few."""

    items: list[BlueprintOut]

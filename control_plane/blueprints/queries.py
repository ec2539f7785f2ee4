"""Every SELECT on blueprints and prices."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from control_plane.blueprints.models import BlueprintVersion, Price
from control_plane.blueprints.rules import Blueprint, BlueprintUnknown, PriceUnknown
from control_plane.kit.money import Money

_MOST_READ = 1000
_READ: dict[str, Blueprint] = {}


def find_current(session: Session, name: str) -> BlueprintVersion | None:
    """Return the version that new hostings get."""
    query = select(BlueprintVersion).where(
        col(BlueprintVersion.name) == name, col(BlueprintVersion.is_current)
    )
    return session.exec(query).first()


def get_current(session: Session, name: str) -> BlueprintVersion:
    """Return the version that new hostings get. Raises: BlueprintUnknown."""
    version = find_current(session, name)
    if version is None:
        raise BlueprintUnknown(blueprint=name)
    return version


def list_current(session: Session) -> Sequence[BlueprintVersion]:
    """Return the present version of each blueprint, by name."""
    query = select(BlueprintVersion).where(col(BlueprintVersion.is_current))
    return session.exec(query.order_by(col(BlueprintVersion.name))).all()


def find_by_digest(session: Session, digest: str) -> BlueprintVersion | None:
    """Return a version by what is in it."""
    query = select(BlueprintVersion).where(col(BlueprintVersion.digest) == digest)
    return session.exec(query).first()


def get_blueprint(session: Session, version_id: str) -> Blueprint:
    """Return what is in a version, which a row refers to and so exists; it never changes."""
    if version_id not in _READ:
        if len(_READ) >= _MOST_READ:
            _READ.clear()
        _READ[version_id] = blueprint_of(session.get_one(BlueprintVersion, version_id))
    return _READ[version_id]


def blueprint_of(version: BlueprintVersion) -> Blueprint:
    """Return what is in a version."""
    return Blueprint.model_validate(version.spec)


def price_at(session: Session, blueprint: str, size: str, currency: str, moment: datetime) -> Money:
    """Return what a size costs per hour at a moment. Raises: PriceUnknown."""
    found = find_price(session, blueprint, size, currency, moment)
    if found is None:
        raise PriceUnknown(blueprint=blueprint, size=size, currency=currency)
    return Money(currency, found.micros_per_hour)


def find_price(
    session: Session, blueprint: str, size: str, currency: str, moment: datetime
) -> Price | None:
    """Return the price that counts at a moment: the latest that had begun by then."""
    query = (
        select(Price)
        .where(
            col(Price.blueprint) == blueprint,
            col(Price.size) == size,
            col(Price.currency) == currency,
            col(Price.effective_from) <= moment,
        )
        .order_by(col(Price.effective_from).desc())
        .limit(1)
    )
    return session.exec(query).first()


def list_present_prices(
    session: Session, blueprint: str, moment: datetime
) -> dict[str, list[Price]]:
    """Return the prices that count at a moment, by size, one a currency."""
    query = select(Price).where(
        col(Price.blueprint) == blueprint, col(Price.effective_from) <= moment
    )
    latest = {
        (price.size, price.currency): price
        for price in session.exec(query.order_by(col(Price.effective_from)))
    }
    by_size: dict[str, list[Price]] = {}
    for (size, _), price in sorted(latest.items()):
        by_size.setdefault(size, []).append(price)
    return by_size

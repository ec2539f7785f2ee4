"""What happens to blueprints: versions come, one is current, prices are added."""

from pathlib import Path

from sqlmodel import Session, col, select

from control_plane.blueprints import queries
from control_plane.blueprints.models import BlueprintVersion, Price
from control_plane.blueprints.rules import Blueprint, PriceFixed, PriceLine, parse_blueprint
from control_plane.kit import clock
from control_plane.kit.documents import DocumentInvalid, Mistake
from control_plane.kit.ids import new_id
from control_plane.kit.installed import tenants_dir
from control_plane.kit.text import Phrase
from control_plane.ledger import actions as ledger
from control_plane.ledger.rules import SYSTEM

SOURCE = "blueprint.yml"


def read_folder(folder: Path) -> Blueprint:
    """Read a blueprint's folder. Raises: DocumentInvalid, naming the file and the line."""
    source = f"{folder.name}/{SOURCE}"
    files = folder / "placeholder"
    placeholder = {
        str(path.relative_to(files)): _text(path, folder)
        for path in sorted(files.rglob("*"))
        if path.is_file()
    }
    blueprint = parse_blueprint(_text(folder / SOURCE, folder), placeholder, source)
    if blueprint.name != folder.name:
        reason = Phrase("The name must be that of the folder, {folder}", folder=folder.name)
        raise DocumentInvalid(source, [Mistake(1, reason)])
    return blueprint


def register_installed(session: Session) -> None:
    """Make the blueprints that this product ships with the current ones. Idempotent.

    Raises: DocumentInvalid, PriceFixed.
    """
    for folder in sorted((tenants_dir() / "blueprints").iterdir()):
        if folder.is_dir():
            register(session, SYSTEM, read_folder(folder))


def register(session: Session, actor_id: str, blueprint: Blueprint) -> BlueprintVersion:
    """Make this the current version, and add its prices. Registering it again changes nothing.

    Raises: PriceFixed where a price that was set would become another.
    """
    version = _ensure_version(session, actor_id, blueprint)
    for size, content in blueprint.sizes.items():
        for line in content.prices:
            _ensure_price(session, actor_id, version, size, line)
    return version


def _ensure_version(session: Session, actor_id: str, blueprint: Blueprint) -> BlueprintVersion:
    before = queries.find_current(session, blueprint.name)
    if before is not None and before.digest == blueprint.digest:
        return before
    if before is not None:
        before.is_current = False
        session.add(before)
    version = queries.find_by_digest(session, blueprint.digest) or BlueprintVersion(
        id=new_id("bpv"),
        name=blueprint.name,
        digest=blueprint.digest,
        spec=blueprint.spec,
        created_at=clock.now(),
    )
    version.is_current = True
    session.add(version)
    session.flush()
    ledger.append(
        session,
        actor_id=actor_id,
        action="blueprint.registered",
        subject_id=version.id,
        agency_id=None,
        payload={
            "name": version.name,
            "digest": version.digest,
            "before": before.digest if before is not None else None,
        },
    )
    return version


def _ensure_price(
    session: Session, actor_id: str, version: BlueprintVersion, size: str, line: PriceLine
) -> None:
    present = session.exec(
        select(Price).where(
            col(Price.blueprint) == version.name,
            col(Price.size) == size,
            col(Price.currency) == line.currency,
            col(Price.effective_from) == line.effective_from,
        )
    ).first()
    if present is not None:
        if present.micros_per_hour != line.micros_per_hour:
            raise PriceFixed(size=size, effective_from=line.effective_from.isoformat())
        return
    price = Price(
        id=new_id("prc"),
        blueprint=version.name,
        size=size,
        currency=line.currency,
        micros_per_hour=line.micros_per_hour,
        effective_from=line.effective_from,
    )
    session.add(price)
    ledger.append(
        session,
        actor_id=actor_id,
        action="price.set",
        subject_id=price.id,
        agency_id=None,
        payload={
            "blueprint": version.name,
            "size": size,
            "currency": line.currency,
            "micros_per_hour": str(line.micros_per_hour),
            "effective_from": line.effective_from.isoformat(),
        },
    )


def _text(path: Path, folder: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        reason = Phrase("The file can't be read: {why}", why=error.strerror or "")
    except UnicodeDecodeError:
        reason = Phrase("The file is not UTF-8 text")
    raise DocumentInvalid(f"{folder.name}/{path.relative_to(folder)}", [Mistake(1, reason)])

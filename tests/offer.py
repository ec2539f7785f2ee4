"""What a data centre offers in tests: the real blueprint, one region, an image in it."""

from typing import Any

from control_plane.blueprints import actions as blueprints
from control_plane.blueprints.models import BlueprintVersion
from control_plane.kit import clock
from control_plane.kit.db import Database
from control_plane.kit.installed import tenants_dir
from control_plane.ledger.rules import SYSTEM
from control_plane.ports.cloud.memory import STATIC_SITE
from control_plane.ports.cloud.port import Image
from control_plane.tenancy import actions as tenancy
from control_plane.tenancy.models import Region, RegionImage
from control_plane.tenancy.rules import RegionKind

IMAGE = f"sha256:{'1' * 64}"
KINDS = ("static-site", "python-app", "postgres-database")
IMAGES = (STATIC_SITE, *(Image(kind, f"sha256:{kind:0>64}") for kind in KINDS[1:]))


def a_blueprint(db: Database, kind: str = "static-site") -> BlueprintVersion:
    """Register a real blueprint."""
    blueprint = blueprints.read_folder(tenants_dir() / "blueprints" / kind)
    with db.begin() as session:
        return blueprints.register(session, SYSTEM, blueprint)


def a_region(db: Database, name: str = "local") -> Region:
    """Add a region that has an image of the static site."""
    with db.begin() as session:
        region = tenancy.ensure_region(session, name, RegionKind.MEMORY)
        now = clock.now()
        session.merge(
            RegionImage(
                region_id=region.id,
                digest=IMAGE,
                family="static-site",
                first_seen_at=now,
                last_seen_at=now,
            )
        )
        return region


def an_offer(db: Database) -> Region:
    """Offer static sites in one region."""
    a_blueprint(db)
    return a_region(db)


def a_wish(**changes: Any) -> dict[str, Any]:
    """Return the body of a request for a site that an operator must decide on."""
    return {
        "kind": "create",
        "agency": "health",
        "name": "website",
        "blueprint": "static-site",
        "size": "medium",
        "inputs": {},
        **changes,
    }

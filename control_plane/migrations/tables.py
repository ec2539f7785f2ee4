"""Every table of the product, imported so that the metadata is whole."""

from control_plane.blueprints import models as blueprints
from control_plane.engine import models as engine
from control_plane.hosting import models as hosting
from control_plane.hostnames import models as hostnames
from control_plane.identity import models as identity
from control_plane.kit import idempotency
from control_plane.kit.db import METADATA
from control_plane.ledger import models as ledger
from control_plane.logs import models as logs
from control_plane.releases import models as releases
from control_plane.runs import models as runs
from control_plane.tenancy import models as tenancy

__all__ = [
    "METADATA",
    "blueprints",
    "engine",
    "hosting",
    "hostnames",
    "idempotency",
    "identity",
    "ledger",
    "logs",
    "releases",
    "runs",
    "tenancy",
]

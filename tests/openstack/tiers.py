"""Whether the cloud under test has guests: those of `make devcloud TIER=fast` are rows alone."""

import os

from openstack.config import OpenStackConfig
from openstack.connection import Connection

ADMIN = "devcloud-admin"


def administrator() -> Connection:
    """Connect as who may see all of the development cloud."""
    found = OpenStackConfig(config_files=[os.environ["EDUBBA_CLOUDS_FILE"]], load_envvars=False)
    return Connection(config=found.get_one(ADMIN))


def has_guests(admin: Connection) -> bool:
    """Whether its servers run."""
    answer = admin.compute.get("/os-hypervisors/detail")
    answer.raise_for_status()
    return {one["hypervisor_type"] for one in answer.json()["hypervisors"]} != {"fake"}

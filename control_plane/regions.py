"""Which regions an installation has: one by variables of its own, or several by a file.

A region here is what an operator says of a cloud. Its row in the database is what became of it.
"""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from control_plane.kit.documents import parse_document
from control_plane.settings import Settings

RegionName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
Name = Annotated[str, Field(min_length=1, max_length=255)]
QUEUES = ("notifications.info", "notifications.error")  # oslo's, where nothing else is said
Networks = Annotated[list[IPv4Network], Field(min_length=1, max_length=32)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Region(_Entry):
    memory_mib: Annotated[int, Field(ge=1)] | None = None  # of all servers: to compare regions by


def _amqp(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("amqp://", "amqps://")):
        raise ValueError("it must begin with amqp:// or amqps://")
    return url


class LocalRegion(_Region):
    """Servers on this machine; there is one such region, and no other beside it."""

    kind: Literal["local"]


class MemoryRegion(_Region):
    """Servers that are none, to try and to test."""

    kind: Literal["memory"]


class Notifications(_Entry):
    """Where a cloud publishes what happens in it; the URL has the password of who may read it."""

    url: Annotated[SecretStr, AfterValidator(_amqp)]
    queues: Annotated[list[Name], Field(min_length=1, max_length=8)] = list(QUEUES)
    ca_file: Path | None = None  # who vouches for the broker; else whom the machine trusts


class OpenStackRegion(_Region):
    """A region of an OpenStack; docs/openstack.md says what each of these names."""

    kind: Literal["openstack"]
    cloud: Name  # the entry of clouds.yaml
    external_network: Name = "public"
    addresses: list[IPv4Network]  # that the network above gives out
    edge: Networks
    configurator: Networks
    role: Name = "edubba"
    config_drive: bool = False
    notifications: Notifications | None = None  # without, the cloud is looked at now and then


Region = Annotated[
    LocalRegion | MemoryRegion | OpenStackRegion,
    Field(discriminator="kind"),
]


class Regions(_Entry):
    """What the file says."""

    regions: Annotated[dict[RegionName, Region], Field(min_length=1, max_length=64)]

    @model_validator(mode="after")
    def _can_stand_together(self) -> Self:
        kinds = {one.kind for one in self.regions.values()}
        if len(kinds) > 1 or ("local" in kinds and len(self.regions) > 1):
            # The edge of `local` stands in a network of this machine that leads nowhere else.
            raise ValueError("a region `local` stands alone, and all others are of one kind")
        if len({one.memory_mib is None for one in self.regions.values()}) > 1:
            raise ValueError("memory_mib is said of all regions or of none")
        for (one, its), (other, theirs) in combinations(_addresses(self.regions), 2):
            if one != other and its.overlaps(theirs):
                raise ValueError(f"{one} and {other} have addresses in common: {its}, {theirs}")
        return self


def read_regions(settings: Settings) -> Mapping[str, Region]:
    """Return the regions by name: those of the file, else the one that variables describe.

    Raises: DocumentInvalid, and OSError where the file can't be read.
    """
    if settings.regions_file != Path():
        text = settings.regions_file.read_text("utf-8")
        return parse_document(text, Regions, settings.regions_file.name).value.regions
    return {settings.region: _described(settings)}


def _described(settings: Settings) -> Region:
    told = settings.cloud_notifications_url
    if settings.cloud == "local":
        return LocalRegion(kind="local")
    if settings.cloud == "memory":
        return MemoryRegion(kind="memory")
    return OpenStackRegion(
        kind="openstack",
        cloud=settings.cloud_entry,
        external_network=settings.cloud_external_network,
        addresses=[],
        edge=[settings.cloud_edge],
        configurator=[settings.cloud_configurator],
        role=settings.cloud_role,
        config_drive=settings.cloud_config_drive,
        notifications=Notifications(url=told) if told.get_secret_value() else None,
    )


def _addresses(regions: Mapping[str, Region]) -> Iterator[tuple[str, IPv4Network]]:
    for name, region in regions.items():
        if isinstance(region, OpenStackRegion):
            for network in region.addresses:
                yield name, network

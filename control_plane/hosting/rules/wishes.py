"""What an agency declares in its tenant.yml: the hostings that shall be. Pure.

Readable without a database, so that the command line can name the line of a mistake.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from control_plane.blueprints.rules import INPUT_PATTERN, NAME_PATTERN
from control_plane.kit.documents import Document, parse_document

Slug = Annotated[str, Field(pattern=NAME_PATTERN, max_length=40)]
Title = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Hostname = Annotated[str, Field(min_length=1, max_length=253)]
Scalar = str | int | bool
Inputs = Annotated[
    dict[Annotated[str, Field(pattern=INPUT_PATTERN, max_length=40)], Scalar],
    Field(max_length=50),
]
MAX_HOSTINGS = 100


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class WishedHosting(_Part):
    """One hosting that shall be."""

    name: Slug
    title: Title = ""
    blueprint: Slug
    size: Slug
    hostname: Hostname | None = None  # left out: `<name>-<agency>` below the zone
    inputs: Inputs = {}


class TenantFile(_Part):
    """An agency's declared wishes for one of its tenants."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "agency": "health",
                    "tenant": "main",
                    "hostings": [
                        {
                            "name": "website",
                            "title": "وزارة الصحة",
                            "blueprint": "static-site",
                            "size": "medium",
                            "hostname": "health",
                            "inputs": {"contact_email": "web@health.example"},
                        }
                    ],
                }
            ]
        }
    )

    agency: Slug
    region: Slug | None = None  # left out: the only one there is
    tenant: Slug = "main"
    hostings: list[WishedHosting] = Field(max_length=MAX_HOSTINGS)


@dataclass(frozen=True, slots=True)
class NewHosting:
    """What somebody wishes: all by the names that people use."""

    agency: str
    name: str
    blueprint: str
    size: str
    inputs: Mapping[str, Any]
    title: str = ""
    region: str | None = None
    tenant: str = "main"
    hostname: str | None = None
    reason: str = ""


def parse_tenant_file(text: str, source: str = "tenant.yml") -> TenantFile:
    """Read a tenant.yml. Raises: DocumentInvalid, with every line and reason."""
    return parse_tenant_document(text, source).value


def parse_tenant_document(text: str, source: str = "tenant.yml") -> Document[TenantFile]:
    """Read a tenant.yml and keep the lines, for mistakes that only the server can find.

    Raises: DocumentInvalid, with every line and reason.
    """
    document = parse_document(text, TenantFile, source)
    doubled = find_doubled(document.value)
    if doubled is not None:
        raise document.mistake(
            ("hostings", doubled, "name"),
            "{key} stands here twice",
            key=document.value.hostings[doubled].name,
        )
    return document


def find_doubled(file: TenantFile) -> int | None:
    """Return the place of the first hosting whose name stood before."""
    seen: set[str] = set()
    for index, wished in enumerate(file.hostings):
        if wished.name in seen:
            return index
        seen.add(wished.name)
    return None


def list_differences(wished: WishedHosting, present: dict[str, Any]) -> list[str]:
    """Return in which fields a hosting that is there is not as wished; `present` has them all.

    A hostname that was left out may be any.
    """
    plain = wished.model_dump()
    if plain["hostname"] is None:
        del plain["hostname"]
    return sorted(name for name, value in plain.items() if present[name] != value)

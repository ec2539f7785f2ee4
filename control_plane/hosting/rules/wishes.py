"""What an agency declares in its tenant.yml: the hostings that shall be. Pure.

Readable without a database, so that the command line can name the line of a mistake.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from control_plane.blueprints.rules import INPUT_PATTERN, NAME_PATTERN
from control_plane.kit.documents import Document, parse_document

Slug = Annotated[str, Field(pattern=NAME_PATTERN, max_length=40)]
Title = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Hostname = Annotated[str, Field(min_length=1, max_length=253)]
Reason = Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]
Entries = Annotated[list[Annotated[str, Field(max_length=1000)]], Field(max_length=50)]
Inputs = Annotated[
    dict[Annotated[str, Field(pattern=INPUT_PATTERN, max_length=40)], str | int | bool | Entries],
    Field(max_length=50),
]
MAX_HOSTINGS, MAX_ATTACHMENTS = 100, 10
CHANGEABLE = frozenset({"inputs", "size", "title"})  # without making a hosting anew


class WishVerdict(StrEnum):
    """What one declared hosting comes to."""

    CREATE = "create"  # it isn't there: a request to make it
    CHANGE = "change"  # it is there otherwise: a request to change it
    END = "end"  # it is there and shall not be: a request to end it
    UNCHANGED = "unchanged"
    DIFFERS = "differs"  # it is there otherwise, and no request can change it


class JoinVerdict(StrEnum):
    """What one declared attachment comes to."""

    ATTACH = "attach"  # both run: it is wished for
    WAITS = "waits"  # one of the two doesn't run yet; applied again later, it is wished for
    UNCHANGED = "unchanged"
    DIFFERS = "differs"  # the application has the variable from another database
    UNDECLARED = "undeclared"  # it is there and the file doesn't name it; it is left alone


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class WishedHosting(_Part):
    """One hosting that shall be, or shall not be any more.

    Leaving a hosting out of the file ends nothing: destruction is never understood from silence.
    """

    name: Slug
    title: Title = ""
    blueprint: Slug
    size: Slug
    hostname: Hostname | None = None  # left out: `<name>-<agency>` below the zone
    inputs: Inputs = {}
    # The databases of the tenant that this application reaches, by their names.
    attachments: Annotated[list[Slug], Field(max_length=MAX_ATTACHMENTS)] = []
    state: Literal["active", "ended"] = "active"


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
    reason: Reason = ""
    hostings: list[WishedHosting] = Field(max_length=MAX_HOSTINGS)


@dataclass(frozen=True, slots=True)
class Difference:
    """A field in which what is there is not what is declared."""

    field: str
    present: Any
    wished: Any


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


@dataclass(frozen=True, slots=True)
class Change:
    """What shall be otherwise of a hosting (`hst_…` or `agency:name`); None: as it is.

    `inputs` are all of them; `newest_image` rolls it to the region's newest image of its family.
    """

    hosting: str
    size: str | None = None
    title: str | None = None
    inputs: Mapping[str, Any] | None = None
    newest_image: bool = False
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
    _check_attachments(document)
    return document


def _check_attachments(document: Document[TenantFile]) -> None:
    """Look at what is declared of attachments, as far as the file alone can tell."""
    ended = {one.name for one in document.value.hostings if one.state == "ended"}
    for index, wished in enumerate(document.value.hostings):
        for place, target in enumerate(wished.attachments):
            where = ("hostings", index, "attachments", place)
            if target in wished.attachments[:place]:
                raise document.mistake(where, "{key} stands here twice", key=target)
            if target == wished.name:
                raise document.mistake(where, "{name} can't be attached to itself", name=target)
            if target in ended and wished.state == "active":
                raise document.mistake(where, "{name} is declared as ended", name=target)


def find_doubled(file: TenantFile) -> int | None:
    """Return the place of the first hosting whose name stood before."""
    seen: set[str] = set()
    for index, wished in enumerate(file.hostings):
        if wished.name in seen:
            return index
        seen.add(wished.name)
    return None


def list_differences(wished: Mapping[str, Any], present: Mapping[str, Any]) -> list[Difference]:
    """Return in which fields a hosting that is there is not as wished; `present` has them all.

    What was left out (None) may be any.
    """
    return [
        Difference(field, present[field], value)
        for field, value in sorted(wished.items())
        if value is not None and present[field] != value
    ]

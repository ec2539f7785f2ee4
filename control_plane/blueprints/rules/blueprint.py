"""What a blueprint is: a kind of hosting as data, with inputs, sizes and prices. Pure."""

import hashlib
import html
import re
import string
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from control_plane.blueprints.rules.problems import SizeUnknown
from control_plane.kit.canonical import canonical_json
from control_plane.kit.documents import Document, Path, parse_document
from control_plane.ports.cloud.port import Limits
from control_plane.tenancy.rules import Resource

NAME_PATTERN = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
INPUT_PATTERN = r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$"
PATH_PATTERN = r"^/[!-~]*$"
WHEEL_PLATFORM = r"^(manylinux_2_[0-9]{1,2}|linux)_(x86_64|aarch64)$"
MAX_PLACEHOLDER_BYTES = 64 * 1024
PLACEHOLDER_FACTS = frozenset({"title", "hostname"})  # besides the inputs

Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=40)]


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


def _is_fillable(text: str) -> str:
    names = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
    unknown = names - {"user", "password", "address", "port", "database", "certificate"}
    if unknown:
        raise ValueError(f"nothing is known of {', '.join(sorted(unknown))}")
    return text


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


class Words(_Part):
    """The same in every language of the product."""

    ar: str = Field(min_length=1, max_length=500)
    en: str = Field(min_length=1, max_length=500)


class ListItem(_Part):
    """What each entry of a list may be."""

    type: Literal["string"] = "string"
    pattern: Annotated[str, AfterValidator(_compiles)] | None = None
    max_length: int = Field(alias="maxLength", ge=1, le=1000)
    enum: list[str] | None = None


class InputField(_Part):
    """One input: a scalar in JSON Schema or a list of texts, with what people read beside it."""

    type: Literal["string", "integer", "boolean", "array"]
    label: Words = Field(alias="x-label")
    help: Words | None = Field(default=None, alias="x-help")
    format: Literal["email"] | None = None
    pattern: Annotated[str, AfterValidator(_compiles)] | None = None
    min_length: int | None = Field(default=None, alias="minLength", ge=0)
    max_length: int | None = Field(default=None, alias="maxLength", ge=1)
    minimum: int | None = None
    maximum: int | None = None
    enum: list[str] | None = None
    items: ListItem | None = None
    max_items: int | None = Field(default=None, alias="maxItems", ge=1, le=50)
    unique_items: Literal[True] | None = Field(default=None, alias="uniqueItems")
    default: str | int | bool | list[str] | None = None

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        is_list = self.type == "array"
        if is_list != (self.items is not None) or is_list != (self.max_items is not None):
            raise ValueError("a list, and nothing else, has items and maxItems")
        return self


class InputsSchema(_Part):
    """What may be said when a hosting of this kind is asked for."""

    type: Literal["object"] = "object"
    additional: Literal[False] = Field(default=False, alias="additionalProperties")
    required: list[str] = []
    properties: dict[Annotated[str, Field(pattern=INPUT_PATTERN)], InputField]

    def as_json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema (draft 2020-12) that inputs are checked against."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class PriceLine(_Part):
    """What a size costs per hour from a moment on."""

    currency: Literal["IQD", "USD", "EUR"]
    micros_per_hour: int = Field(ge=0, le=10**12)
    effective_from: AwareDatetime = Field(strict=False)


class Size(_Part):
    """How much one server of this size gets."""

    label: Words
    memory_mib: int = Field(ge=32, le=1 << 20)
    cpu_millis: int = Field(ge=50, le=256_000)
    pids: int = Field(ge=16, le=32_768)
    disk_mib: int = Field(ge=64, le=1 << 24)
    prices: list[PriceLine] = Field(default=[], exclude=True)  # rows, not part of a version

    @property
    def limits(self) -> Limits:
        """What the cloud is to hold a server of this size to."""
        return Limits(self.memory_mib, self.cpu_millis, self.pids, self.disk_mib)

    @property
    def needs(self) -> dict[Resource, int]:
        """What a hosting of this size takes of its agency's quotas."""
        return {
            Resource.SERVERS: 1,
            Resource.CPU_MILLIS: self.cpu_millis,
            Resource.MEMORY_MIB: self.memory_mib,
            Resource.DISK_MIB: self.disk_mib,
        }


class Health(_Part):
    """The page that must answer before a release goes live; an input may name another one."""

    path: str = Field(default="/", pattern=PATH_PATTERN, max_length=200)
    path_input: str | None = None


class Wheels(_Part):
    """For what a release carries Python's packages: a server has no way out to fetch any.

    A tag `manylinux_2_36_x86_64` stands for all that runs with that glibc and older ones.
    """

    python: str = Field(pattern=r"^3\.[0-9]{1,2}(\.[0-9]{1,2})?$")
    platforms: list[Annotated[str, Field(pattern=WHEEL_PLATFORM)]] = Field(
        min_length=1, max_length=8
    )

    @field_validator("platforms")
    @classmethod
    def _are_of_one_machine(cls, platforms: list[str]) -> list[str]:
        if len({re.sub(r"^[a-z]+(_\d+_\d+)?_", "", one) for one in platforms}) > 1:
            raise ValueError("all platforms must be of the same machine")
        return platforms


class Attachable(_Part):
    """What applications of the same tenant may be attached to.

    `url` is filled with user, password, address, port, database and certificate (a file's path).
    """

    variable: str = Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")
    port: int = Field(ge=1, le=65535)
    url: Annotated[str, AfterValidator(_is_fillable)] = Field(max_length=300)


class Blueprint(_Part):
    """A kind of hosting: what is in a version, and so in its digest, but for the prices."""

    format: Literal[1]
    name: Name
    title: Words
    summary: Words
    image: Name  # the family of prepared images that its servers are made from
    inputs: InputsSchema
    sizes: dict[Name, Size] = Field(min_length=1)
    health: Health = Health()
    takes_settings: bool = False  # whether its agency sets environment variables
    attachable: Attachable | None = None
    wheels: Wheels | None = None  # `edubba deploy` adds them to a release
    alerts: list[str] = []  # the alerts of monitoring/ that tell of its hostings
    placeholder: dict[str, str] = {}

    @property
    def spec(self) -> dict[str, Any]:
        """The plain JSON of this version, without prices."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON (RFC 8785) of the version."""
        return digest_of(self.spec)

    def size(self, name: str) -> Size:
        """Return a size. Raises: SizeUnknown."""
        try:
            return self.sizes[name]
        except KeyError:
            known = ", ".join(self.sizes)
            raise SizeUnknown(blueprint=self.name, size=name, known=known) from None


def digest_of(value: Any) -> str:
    """Return `sha256:…` over the canonical JSON of a value."""
    return f"sha256:{hashlib.sha256(canonical_json(value)).hexdigest()}"


def parse_blueprint(text: str, placeholder: Mapping[str, str], source: str) -> Blueprint:
    """Read a blueprint and its placeholder's files. Raises: DocumentInvalid, with the line."""
    document = parse_document(text, Blueprint, source)
    blueprint = document.value.model_copy(update={"placeholder": dict(placeholder)})
    _check_inputs(document, blueprint)
    _check_prices(document, blueprint)
    _check_placeholder(document, blueprint)
    return blueprint


def check_path(blueprint: Blueprint, inputs: Mapping[str, Any]) -> str:
    """Return the page that must answer before a release of such a hosting goes live."""
    named = inputs.get(blueprint.health.path_input or "")
    return str(named) if named else blueprint.health.path


def render_placeholder(blueprint: Blueprint, facts: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files that a new hosting shows until its first release.

    `${name}` in an HTML file stands for a fact (title, hostname, the inputs), escaped; a line that
    names a fact which is not there is left out.
    """
    said = {
        name: html.escape(", ".join(value) if isinstance(value, list) else str(value))
        for name, value in facts.items()
        if value is not None and value not in ("", [])
    }
    return {
        path: (_fill(text, said) if path.endswith(".html") else text).encode()
        for path, text in blueprint.placeholder.items()
    }


def _fill(text: str, facts: Mapping[str, str]) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(
        string.Template(line).substitute(facts)
        for line in lines
        if set(string.Template(line).get_identifiers()) <= facts.keys()
    )


def _check_inputs(document: Document[Blueprint], blueprint: Blueprint) -> None:
    fields = blueprint.inputs.properties
    for index, name in enumerate(blueprint.inputs.required):
        if name not in fields:
            path: Path = ("inputs", "required", index)
            raise document.mistake(path, "{field} is not one of the inputs", field=name)
    named = blueprint.health.path_input
    if named is not None and (named not in fields or fields[named].type != "string"):
        raise document.mistake(
            ("health", "path_input"), "{field} is not one of the inputs", field=named
        )


def _check_prices(document: Document[Blueprint], blueprint: Blueprint) -> None:
    for name, size in blueprint.sizes.items():
        seen: set[tuple[str, datetime]] = set()
        for index, price in enumerate(size.prices):
            key = (price.currency, price.effective_from.astimezone(UTC))
            if key in seen:
                path: Path = ("sizes", name, "prices", index)
                raise document.mistake(path, "There are two prices from the same moment on")
            seen.add(key)


def _check_placeholder(document: Document[Blueprint], blueprint: Blueprint) -> None:
    known = PLACEHOLDER_FACTS | set(blueprint.inputs.properties)
    files = blueprint.placeholder
    if "index.html" not in files:
        raise document.mistake((), "The folder placeholder lacks {file}", file="index.html")
    if sum(len(text.encode()) for text in files.values()) > MAX_PLACEHOLDER_BYTES:
        raise document.mistake((), "The placeholder's files are larger than 64 KiB together")
    for path, text in files.items():
        template = string.Template(text if path.endswith(".html") else "")
        unknown = set(template.get_identifiers()) - known
        if unknown or not template.is_valid():
            raise document.mistake(
                (),
                "placeholder/{file} names the unknown fact {field}",
                file=path,
                field=", ".join(sorted(unknown)) or "$",
            )

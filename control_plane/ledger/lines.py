"""The lines of an export: canonical JSON, one object a line, each spelled in exactly one way.

header · (entry … checkpoint)* · end. A checkpoint stands right behind the last entry it covers,
so that a reader needs to keep nothing. An entry's `nodes` are the hashes of the subtrees that it
completed, leaf first: they let the verifier name the entry where only a root would differ.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from control_plane.ledger.leaf import Hex32, Leaf, canonical


class LineInvalid(ValueError):
    """A line is not what this format allows."""


class _Line(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    def encode(self) -> bytes:
        """Return the line's bytes, newline included."""
        return canonical(self.model_dump(warnings=False)) + b"\n"


class HeaderLine(_Line):
    """The first line: which log this is."""

    kind: Literal["header"] = "header"
    format: Literal["edubba-ledger-export/1"] = "edubba-ledger-export/1"
    vkey: str


class EntryLine(_Line):
    """One entry; `payload` and `salt` are null once redacted."""

    kind: Literal["entry"] = "entry"
    index: int = Field(ge=0)
    leaf: Leaf
    nodes: list[Hex32]
    payload: dict[str, Any] | None
    salt: Hex32 | None


class CheckpointLine(_Line):
    """A signed checkpoint over all entries above it."""

    kind: Literal["checkpoint"] = "checkpoint"
    note: str


class EndLine(_Line):
    """The last line: what a complete file holds, and the SHA-256 of every byte above.

    It finds an incomplete or damaged file; it proves nothing against somebody who can rewrite it.
    """

    kind: Literal["end"] = "end"
    entries: int = Field(ge=0)
    checkpoints: int = Field(ge=0)
    sha256: Hex32


Line = HeaderLine | EntryLine | CheckpointLine | EndLine
_READER: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="kind")])


def decode(line: bytes) -> Line:
    """Read one line, newline included. Raises: LineInvalid, saying why in a few words."""
    if not line.endswith(b"\n"):
        msg = "the line is cut off"
        raise LineInvalid(msg)
    try:
        document = json.loads(line)
        is_canonical = canonical(document) + b"\n" == line
    except (ValueError, RecursionError) as broken:
        msg = "not a JSON line"
        raise LineInvalid(msg) from broken
    if not is_canonical:
        msg = "not in canonical form"
        raise LineInvalid(msg)
    try:
        return _READER.validate_python(document)
    except ValidationError as broken:
        first = broken.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        msg = f"not a line of an export: {where or 'line'}: {first['msg']}"
        raise LineInvalid(msg) from broken

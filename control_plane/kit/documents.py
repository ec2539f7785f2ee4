"""YAML that people write: read strictly, checked against a model, every mistake with its line.

No anchors, no doubled keys, no types of YAML's own but the JSON ones: what is read is what JSON
could say, so that it has one canonical form and one digest.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from control_plane.kit.errors import Problem
from control_plane.kit.text import Phrase

Model = TypeVar("Model", bound=BaseModel)
Path = tuple[str | int, ...]

MAX_CHARACTERS = 256 * 1024  # what a person writes by hand is far below
MAX_DEPTH = 32
_JSON_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str")}

# What people read instead of the validator's words; other kinds of mistake keep the latter.
_REASONS = {
    "missing": "{field} is missing",
    "extra_forbidden": "{field} is not known here",
    "string_type": "{field} must be text; put it in quotation marks",
    "int_type": "{field} must be a whole number",
    "int_parsing": "{field} must be a whole number",
    "bool_type": "{field} must be true or false",
    "bool_parsing": "{field} must be true or false",
    "list_type": "{field} must be a list",
    "dict_type": "{field} must be a block of keys and values",
    "model_type": "{field} must be a block of keys and values",
    "model_attributes_type": "{field} must be a block of keys and values",
    "string_too_short": "{field} is too short: at least {min_length} characters",
    "string_too_long": "{field} is too long: at most {max_length} characters",
    "too_short": "{field} has too few entries: at least {min_length}",
    "too_long": "{field} has too many entries: at most {max_length}",
    "string_pattern_mismatch": "{field} has characters or a form that are not allowed",
    "greater_than": "{field} must be more than {gt}",
    "greater_than_equal": "{field} must be at least {ge}",
    "less_than_equal": "{field} must be at most {le}",
    "literal_error": "{field} must be one of: {expected}",
    "enum": "{field} must be one of: {expected}",
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong, and the line (counted from 1) on which."""

    line: int
    reason: str


class DocumentInvalid(Problem):
    """A file can't be used; `mistakes` has each line and reason, the title the first of them."""

    code: ClassVar[str] = "document_invalid"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "{source}, line {line}: {reason}"
    mend: ClassVar[str] = "Correct the file at that line and try again."

    def __init__(self, source: str, mistakes: Iterable[Mistake]) -> None:
        found = tuple(sorted(mistakes, key=lambda mistake: mistake.line))
        first = found[0]
        listed = [{"line": mistake.line, "reason": mistake.reason} for mistake in found]
        super().__init__(source=source, line=first.line, reason=first.reason, mistakes=listed)
        self.mistakes = found


@dataclass(frozen=True, slots=True)
class Document(Generic[Model]):
    """What a file says, and on which line each part of it stands."""

    source: str
    value: Model
    lines: Mapping[Path, int] = field(repr=False)

    def line_of(self, path: Path) -> int:
        """Return the line of the part at `path`, or of the nearest part around it."""
        return _nearest(self.lines, path)

    def mistake(self, path: Path, message: str, **facts: object) -> DocumentInvalid:
        """Return the problem of one part that only its reader could find wrong."""
        reason = Phrase(message, **facts)
        return DocumentInvalid(self.source, [Mistake(self.line_of(path), reason)])


def parse_document(text: str, model: type[Model], source: str) -> Document[Model]:
    """Read YAML and check it. Raises: DocumentInvalid."""
    if len(text) > MAX_CHARACTERS:
        raise _one(
            source, 1, "The file is too long: at most {most} characters", most=MAX_CHARACTERS
        )
    lines: dict[Path, int] = {}
    reader = _Reader(source, lines)
    content = reader.read(text)
    try:
        return Document(source, model.model_validate(content), lines)
    except ValidationError as error:
        raise DocumentInvalid(
            source, [_mistake(found, lines) for found in error.errors(include_url=False)]
        ) from None


class _Reader:
    def __init__(self, source: str, lines: dict[Path, int]) -> None:
        self._source, self._lines = source, lines

    def read(self, text: str) -> Any:
        try:
            self._look_over(text)
            loader = yaml.CSafeLoader(text)
            node = loader.get_single_node()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            raise _one(
                self._source, line, "This is not YAML: {why}", why=error.problem or ""
            ) from None
        except yaml.reader.ReaderError as error:  # whose position is one in UTF-8
            raise self._bad_character(text.encode().count(b"\n", 0, error.position)) from None
        except UnicodeEncodeError as error:
            raise self._bad_character(text.count("\n", 0, error.start)) from None
        if node is None:
            raise _one(self._source, 1, "The file is empty")
        return self._value(node, (), loader)

    def _bad_character(self, lines_before: int) -> DocumentInvalid:
        return _one(self._source, lines_before + 1, "A character is not allowed in YAML")

    def _look_over(self, text: str) -> None:
        # Before anything is built: an alias can blow up, and building is recursive.
        depth = 0
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            line = event.start_mark.line + 1 if event.start_mark else 1
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise _one(self._source, line, "Anchors and aliases are not allowed")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise _one(self._source, line, "This is nested too deeply")

    def _value(self, node: yaml.Node, path: Path, loader: yaml.CSafeLoader) -> Any:
        line = node.start_mark.line + 1
        self._lines.setdefault(path, line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, loader)
        if isinstance(node, yaml.SequenceNode):
            return [
                self._value(item, (*path, index), loader) for index, item in enumerate(node.value)
            ]
        if node.tag not in _JSON_TAGS:
            if not node.tag.endswith(":timestamp"):
                raise _one(self._source, line, "The type {tag} is not allowed", tag=node.tag)
            return node.value  # a moment is text until the model says otherwise
        value = loader.construct_object(node)
        if isinstance(value, float) and not math.isfinite(value):
            raise _one(self._source, line, "This number is not finite")
        return value

    def _mapping(
        self, node: yaml.MappingNode, path: Path, loader: yaml.CSafeLoader
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str) or key_node.tag.endswith(":merge"):
                raise _one(self._source, line, "A key must be plain text")
            if key in found:
                raise _one(self._source, line, "{key} stands here twice", key=key)
            self._lines[(*path, key)] = line
            found[key] = self._value(value_node, (*path, key), loader)
        return found


def _one(source: str, line: int, message: str, **facts: object) -> DocumentInvalid:
    return DocumentInvalid(source, [Mistake(line, Phrase(message, **facts))])


def _nearest(lines: Mapping[Path, int], path: Path) -> int:
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _path_of(location: Iterable[str | int], lines: Mapping[Path, int]) -> Path:
    """Return where the validator is in the document: it names kinds of a union on the way, too."""
    path: Path = ()
    parts = tuple(location)
    for part in parts:
        path = (*path, part) if (*path, part) in lines else path
    return path if path[-1:] == parts[-1:] else (*path, *parts[-1:])


def _mistake(found: Any, lines: Mapping[Path, int]) -> Mistake:
    path = _path_of(found["loc"], lines)
    context = {name: value for name, value in found.get("ctx", {}).items() if name != "error"}
    message = _REASONS.get(found["type"], "{field}: {why}")
    spelled = ".".join(str(part) for part in path) or "the document"
    own = found.get("ctx", {}).get("error")  # a ValueError of a model's own check
    why: object = own.args[0] if isinstance(own, ValueError) and own.args else found["msg"]
    return Mistake(_nearest(lines, path), Phrase(message, field=spelled, why=why, **context))

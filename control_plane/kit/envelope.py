"""What goes around documents: pages of lists, and the tags that guard a change."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Generic, TypeVar

from fastapi import Header, Query, Response
from pydantic import BaseModel

from control_plane.kit.errors import Problem
from control_plane.kit.pagination import DEFAULT_LIMIT, MAX_LIMIT, Page

Item = TypeVar("Item")
Row = TypeVar("Row")

Cursor = Annotated[
    str | None, Query(max_length=200, description="`next_cursor` of the page before")
]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many items at most")]
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", max_length=200, description="The ETag of what is to be changed"),
]

__all__ = [
    "DEFAULT_LIMIT",
    "Cursor",
    "IfMatch",
    "Limit",
    "PageOut",
    "page_out",
    "require_match",
    "set_tag",
]


class PageOut(BaseModel, Generic[Item]):
    """One page of a list; `next_cursor` is null at the end."""

    items: list[Item]
    next_cursor: str | None


class PreconditionFailed(Problem):
    """It has changed since it was read."""

    code: ClassVar[str] = "precondition_failed"
    status: ClassVar[int] = 412
    title: ClassVar[str] = "Somebody changed this since you read it"
    mend: ClassVar[str] = "Read it again, look at what changed, and send your change once more."


class PreconditionMissing(Problem):
    """A change without saying of what state."""

    code: ClassVar[str] = "precondition_missing"
    status: ClassVar[int] = 428
    title: ClassVar[str] = "This change needs an If-Match header"
    mend: ClassVar[str] = "Read the thing first, and send its ETag back as If-Match."


def page_out(page: Page[Row], shape: Callable[[Row], Item]) -> PageOut[Item]:
    """Return a page of rows as a document, each row through `shape`."""
    return PageOut(items=[shape(row) for row in page.items], next_cursor=page.next_cursor)


def tag_of(version: object) -> str:
    """Return the ETag of a version."""
    return f'"{version}"'


def set_tag(response: Response, version: object) -> None:
    """Say which version this answer shows."""
    response.headers["ETag"] = tag_of(version)


def require_match(offered: str | None, version: object) -> None:
    """Let a change go on only if it was made knowing the present version.

    Raises: PreconditionMissing, PreconditionFailed.
    """
    if offered is None:
        raise PreconditionMissing
    tags = {tag.strip() for tag in offered.split(",")}
    if "*" not in tags and tag_of(version) not in tags:
        raise PreconditionFailed(present=tag_of(version))

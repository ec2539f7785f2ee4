"""A POST that is sent twice happens once: its answer is kept with its key and told again.

The key's row is written first in the request's own transaction, so that a twin that comes at the
same moment waits for it. What is shown only once is never kept.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, Field
from sqlalchemy import delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field as Column
from sqlmodel import Session, SQLModel, col

from control_plane.kit import clock
from control_plane.kit.columns import json_column, moment
from control_plane.kit.errors import Problem

Answer = TypeVar("Answer", bound=BaseModel)
MAX_KEY_LENGTH = 200
KEPT = timedelta(hours=48)  # longer than a pipeline retries
_SHOWN_ONCE = "x-shown-once"


class IdempotentAnswer(SQLModel, table=True):
    """What was answered to a key of somebody."""

    __tablename__ = "idempotent_answer"

    owner_id: str = Column(primary_key=True, max_length=64)
    key: str = Column(primary_key=True, max_length=MAX_KEY_LENGTH)
    fingerprint: str = Column(max_length=64)
    body: dict[str, Any] | None = json_column(nullable=True)
    created_at: datetime = moment(index=True)


class IdempotencyKeyMissing(Problem):
    """A POST without a key."""

    code: ClassVar[str] = "idempotency_key_missing"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "The header Idempotency-Key is missing"
    mend: ClassVar[str] = (
        "Send a new random key with each new wish, and the same one when you retry."
    )


class IdempotencyKeyReused(Problem):
    """The key was used for something else."""

    code: ClassVar[str] = "idempotency_key_reused"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "This Idempotency-Key was used for another request"
    mend: ClassVar[str] = "Use a new key for a new wish."


@dataclass(frozen=True, slots=True)
class Wish:
    """One POST: whose, under which key, and what exactly."""

    owner_id: str
    key: str
    fingerprint: str


def shown_once(description: str) -> Any:
    """Return a field of an answer that a replay doesn't repeat: it is null then."""
    return Field(default=None, description=description, json_schema_extra={_SHOWN_ONCE: True})


def wish_of(request: Request, owner_id: str, body: object) -> Wish:
    """Name a POST by its key. Raises: IdempotencyKeyMissing."""
    key = request.headers.get("idempotency-key", "")
    if not 1 <= len(key) <= MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
        raise IdempotencyKeyMissing
    plain = body.model_dump(mode="json") if isinstance(body, BaseModel) else body
    target = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    exact = orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)
    return Wish(owner_id, key, hashlib.sha256(target + exact).hexdigest())


def claim(session: Session, wish: Wish) -> dict[str, Any] | None:
    """Take the key for this wish, or return the document that answered it before.

    Raises: IdempotencyKeyReused where the key stands for another wish.
    """
    now = clock.now()
    connection = session.connection()
    connection.execute(
        delete(IdempotentAnswer).where(
            col(IdempotentAnswer.owner_id) == wish.owner_id,
            col(IdempotentAnswer.created_at) < now - KEPT,
        )
    )
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    taken = connection.execute(
        insert(IdempotentAnswer)
        .values(owner_id=wish.owner_id, key=wish.key, fingerprint=wish.fingerprint, created_at=now)
        .on_conflict_do_nothing()
        .returning(col(IdempotentAnswer.key))
    ).first()
    if taken is not None:
        return None
    before = session.get_one(IdempotentAnswer, (wish.owner_id, wish.key))
    if before.fingerprint != wish.fingerprint:
        raise IdempotencyKeyReused
    return before.body or {}


def keep(session: Session, wish: Wish, answer: BaseModel) -> None:
    """Keep the answer, without what is shown once, for the next time the key comes."""
    row = session.get_one(IdempotentAnswer, (wish.owner_id, wish.key))
    row.body = storable(answer)
    session.add(row)


def storable(answer: BaseModel) -> dict[str, Any]:
    """Return the document of an answer, with null for what is shown only once."""
    document = answer.model_dump(mode="json")
    for name, field in type(answer).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get(_SHOWN_ONCE):
            document[name] = None
    return document


def answer_once(
    session: Session, wish: Wish, shape: type[Answer], act: Callable[[Session], Answer]
) -> tuple[Answer, bool]:
    """Do it, or repeat the answer that it got; return the answer and whether it is a repeat."""
    before = claim(session, wish)
    if before is not None:
        return shape.model_validate(before), True
    answer = act(session)
    keep(session, wish, answer)
    return answer, False

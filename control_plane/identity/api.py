"""The doors to log in and out, and to one's own tokens."""

from datetime import timedelta
from typing import Annotated

import anyio
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request, Response

from control_plane.identity import actions, queries
from control_plane.identity.access import Desk, DeskDep, may, open_to_all
from control_plane.identity.models import Person
from control_plane.identity.rules import (
    Actor,
    LoginRefused,
    Permission,
    TokenForeign,
    TooManyLogins,
)
from control_plane.identity.schemas import LoginIn, LoginOut, PersonOut, TokenIn, TokenOut
from control_plane.kit import passwords
from control_plane.kit.envelope import DEFAULT_LIMIT, Cursor, Limit, PageOut, page_out

router = APIRouter(prefix="/v1", tags=["identity"])

PER_EMAIL = "10 per 5 minutes"
PER_ADDRESS = "60 per 5 minutes"  # an office of many people behind one address
WAITING_AT_MOST = 32  # logins; more are told to come back

Myself = Annotated[Actor, may(Permission.SELF_READ)]
TokenWriter = Annotated[Actor, may(Permission.TOKEN_WRITE)]
_hashing = anyio.lowlevel.RunVar[CapacityLimiter]("password_hashing")


@router.post("/login", dependencies=[open_to_all()])
async def login(desk: DeskDep, request: Request, body: LoginIn) -> LoginOut:
    """Trade an e-mail address and a password for a token of twelve hours."""
    _refuse_too_many(desk, request, body.email)
    limiter = _limiter()
    if limiter.statistics().tasks_waiting >= WAITING_AT_MOST:
        raise TooManyLogins(retry_after_s=5)
    person = await to_thread.run_sync(_find_person, desk, body.email)
    stored = None if person is None or person.disabled_at else person.password_hash
    is_right = await to_thread.run_sync(passwords.is_right, stored, body.password, limiter=limiter)
    if person is None or not is_right:
        raise LoginRefused
    return await to_thread.run_sync(_start_session, desk, person)


@router.post("/logout", status_code=204)
def logout(desk: DeskDep, actor: Myself) -> None:
    """Put the token that this request carries out of force."""
    if actor.token_id is None:
        raise TokenForeign
    with desk.writing() as session:
        actions.revoke_token(session, actor, actor.token_id)


@router.get("/tokens")
def list_tokens(
    desk: DeskDep, actor: Myself, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> PageOut[TokenOut]:
    """List one's own tokens, newest first."""
    with desk.reading() as session:
        page = queries.list_tokens(session, actor.person_id, cursor, limit)
    return page_out(page, TokenOut.of)


@router.post("/tokens", status_code=201)
def create_token(
    desk: DeskDep, actor: TokenWriter, request: Request, response: Response, body: TokenIn
) -> TokenOut:
    """Make a token for a pipeline; its secret is in this answer and nowhere else."""
    wish = actions.TokenWish(
        name=body.name,
        lasts=timedelta(days=body.expires_in_days),
        scopes=None if body.scopes is None else frozenset(body.scopes),
        agency_id=body.agency_id,
    )
    made = desk.once(
        request,
        actor,
        body,
        lambda session: TokenOut.of(*actions.create_token(session, actor, wish)),
    )
    response.headers["Location"] = f"/v1/tokens/{made.id}"
    return made


@router.delete("/tokens/{token_id}", status_code=204)
def revoke_token(desk: DeskDep, actor: TokenWriter, token_id: str) -> None:
    """Put one of one's own tokens out of force, for ever."""
    with desk.writing() as session:
        actions.revoke_token(session, actor, token_id)


def _refuse_too_many(desk: Desk, request: Request, email: str) -> None:
    address = request.client.host if request.client else "unknown"
    wait_s = desk.login_rates.wait_s(PER_EMAIL, "email", email.lower()) or (
        desk.login_rates.wait_s(PER_ADDRESS, "address", address)
    )
    if wait_s:
        raise TooManyLogins(retry_after_s=wait_s)


def _limiter() -> CapacityLimiter:
    try:
        return _hashing.get()
    except LookupError:
        limiter = CapacityLimiter(passwords.AT_ONCE)
        _hashing.set(limiter)
        return limiter


def _find_person(desk: Desk, email: str) -> Person | None:
    with desk.reading() as session:
        return queries.find_person_by_email(session, email)


def _start_session(desk: Desk, person: Person) -> LoginOut:
    with desk.writing() as session:
        token, secret = actions.start_session(session, person)
    return LoginOut(token=secret, expires_at=token.expires_at, person=PersonOut.of(person))

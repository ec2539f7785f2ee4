"""The desk at which every door of the web process stands, and who may come to it.

A permission is the type of a parameter: `actor: Annotated[Actor, may(Permission.HOSTING_READ)]`.
It says whether the actor may do this anywhere at all; in which agency is for actions and queries.
No session outlives the function that opened it: held across a request they deadlock the pool.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar, cast

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from control_plane.engine.bell import Bell, ringing
from control_plane.identity import actions
from control_plane.identity.actions import keystone
from control_plane.identity.rules import (
    Actor,
    Forbidden,
    IdentitySourceUnavailable,
    KeystoneOff,
    KeystoneTokenRefused,
    NotAuthenticated,
    Permission,
)
from control_plane.kit.db import Database
from control_plane.kit.errors import Unavailable
from control_plane.kit.idempotency import answer_once, wish_of
from control_plane.kit.log import get_log
from control_plane.kit.rates import Rates
from control_plane.ledger import actions as ledger
from control_plane.ports.blobs.port import Blobs
from control_plane.ports.identity_source.port import IdentitySource, Verified

log = get_log("identity")
Answer = TypeVar("Answer", bound=BaseModel)
AT_ONCE = 4  # questions to Keystone, each in a thread beside those that answer everybody
WAITING_AT_MOST = 8  # for their turn to ask; more are told to come back
_BEARER = HTTPBearer(auto_error=False, description="A token of `/v1/login` or `/v1/tokens`")
_asking = RunVar[CapacityLimiter]("asking_keystone")
_KEYSTONE = APIKeyHeader(
    name="X-Auth-Token",
    scheme_name="Keystone",
    auto_error=False,
    description="A token of Keystone for an agency's project; looked at where there is no other",
)


@dataclass(frozen=True, slots=True)
class Desk:
    """What a door of the web process can reach: no cloud, no key, no root."""

    db: Database
    bell: Bell
    blobs: Blobs
    identity_source: IdentitySource | None = None  # None: tokens of Keystone are not taken
    zone: str = "edubba.localhost"
    is_loopback_zone: bool = True
    retention_days: int = 30
    checks: Mapping[str, Callable[[], bool]] = field(default_factory=dict)  # of readiness
    targets: Mapping[str, str] = field(default_factory=dict)  # processes to scrape: host:port
    login_rates: Rates = field(default_factory=Rates)

    def reading(self) -> AbstractContextManager[Session]:
        """Open a short read transaction."""
        return self.db.read()

    def writing(self) -> AbstractContextManager[Session]:
        """Open one write transaction; the lives that it wakes are rung for after the commit."""
        return ringing(self.db, self.bell)

    def once(
        self, request: Request, actor: Actor, body: object, act: Callable[[Session], Answer]
    ) -> Answer:
        """Answer a POST: `act` runs in one transaction, once for each Idempotency-Key.

        What the route declares as its answer is what `act` returns. Raises: IdempotencyKeyMissing,
        IdempotencyKeyReused. The header Ledger-Entry names the entries that prove what was done.
        """
        wish = wish_of(request, actor.person_id, body)
        shape = cast("type[Answer]", request.scope["route"].response_model)
        with self.writing() as session:
            answer, is_replay = answer_once(session, wish, shape, act)
            request.state.entries = ledger.list_appended(session, actor.person_id)
        request.state.is_replay = is_replay
        return answer

    def note_read(self, actor: Actor, action: str, subject_id: str, agency_id: str | None) -> None:
        """Write down that somebody read what isn't their own agency's; call it before answering.

        `agency_id` None: data of all agencies. A member's own reading leaves no entry.
        """
        if agency_id is not None and agency_id in actor.agency_roles:
            return
        with self.writing() as session:
            ledger.append(
                session,
                actor_id=actor.person_id,
                action=action,
                subject_id=subject_id,
                agency_id=agency_id,
                payload={},
            )


def _desk(request: Request) -> Desk:
    return cast("Desk", request.app.state.desk)


async def _desk_of_app(request: Request) -> Desk:
    return _desk(request)  # a coroutine, so that no thread is taken for it


DeskDep = Annotated[Desk, Depends(_desk_of_app)]
BearerDep = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]


async def _vouched(
    request: Request, bearer: BearerDep, foreign: Annotated[str | None, Depends(_KEYSTONE)]
) -> Verified | None:
    """Return what Keystone says of a token of its own; None where there is none, or one of ours.

    The one question to something foreign inside of a request: asked before any transaction is
    open, and not in the threads that answer everybody, or whoever floods a Keystone that hangs
    would stop them all. Raises: KeystoneOff, KeystoneTokenRefused, IdentitySourceUnavailable.
    """
    source = _desk(request).identity_source
    if bearer is not None or not foreign:
        return None
    if source is None:
        raise KeystoneOff
    return source.recall(foreign) or await _ask(source, foreign)


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets those through who have a permission somewhere; the route table is read off it."""

    permission: Permission

    def __call__(
        self,
        request: Request,
        bearer: BearerDep,
        vouched: Annotated[Verified | None, Depends(_vouched)],
    ) -> Actor:
        """Return who acts. Raises: NotAuthenticated, Forbidden, and what Keystone's tokens may."""
        desk = _desk(request)
        if vouched is not None:
            actor = authenticate_by_keystone(desk, vouched)
        else:
            actor = authenticate(desk, bearer.credentials if bearer else None)
        request.state.locale = actor.locale
        if not actor.may_anywhere(self.permission):
            raise Forbidden(permission=self.permission.value)
        return actor


class PublicGate:
    """Marks a route that anybody may call, on purpose."""

    async def __call__(self) -> None:
        """Let everybody through."""


def may(permission: Permission) -> Any:
    """Depend on an actor with the permission; see this module's docstring."""
    return Depends(Gate(permission))


def open_to_all() -> Any:
    """Return the dependency that says a route needs no permission: `dependencies=[…]`."""
    return Depends(PublicGate())


def authenticate(desk: Desk, secret: str | None) -> Actor:
    """Return who acts with a token. Raises: NotAuthenticated."""
    if secret is None:
        raise NotAuthenticated
    with desk.reading() as session:
        found = actions.find_actor(session, secret)
    if found is None:
        raise NotAuthenticated
    actor, is_use_to_be_noted = found
    if is_use_to_be_noted:
        with desk.writing() as session:
            actions.note_use(session, actor)
    return actor


def authenticate_by_keystone(desk: Desk, verified: Verified) -> Actor:
    """Return who acts with a token of Keystone that says this.

    Raises: ProjectMissing, ProjectUnmapped, ProjectRolesUnmapped, PersonDisabled.
    """
    with desk.reading() as session:
        actor = keystone.find_actor(session, verified)
    return actor if actor is not None else _meet(desk, verified)


async def _ask(source: IdentitySource, token: str) -> Verified:
    limiter = _limiter()
    if limiter.statistics().tasks_waiting >= WAITING_AT_MOST:
        raise IdentitySourceUnavailable(retry_after_s=5)
    try:
        verified = await to_thread.run_sync(source.verify, token, limiter=limiter)
    except Unavailable as away:
        log.warning("identity_source_unavailable", **away.facts)
        raise IdentitySourceUnavailable(retry_after_s=5) from away
    if verified is None:
        raise KeystoneTokenRefused
    return verified


def _limiter() -> CapacityLimiter:
    try:
        return _asking.get()
    except LookupError:
        limiter = CapacityLimiter(AT_ONCE)
        _asking.set(limiter)
        return limiter


def _meet(desk: Desk, verified: Verified) -> Actor:
    try:
        with desk.writing() as session:
            return keystone.meet(session, verified)
    except IntegrityError:  # their other first request was quicker
        with desk.reading() as session:
            return keystone.meet(session, verified)

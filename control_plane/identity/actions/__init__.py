"""What is done with people, their roles and their tokens."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from control_plane.identity import queries
from control_plane.identity.models import Person, RoleGrant, Token
from control_plane.identity.rules import (
    AGENCY_ROLES,
    CENTRE_ROLES,
    LONGEST_API_TOKEN,
    SESSION_LENGTH,
    Actor,
    EmailTaken,
    ExampleRefused,
    Forbidden,
    LastHolder,
    NotFound,
    OperatorExists,
    Permission,
    Role,
    RoleUnfit,
    ScopeTooWide,
    TokenForeign,
    TokenKind,
    TokenTooLong,
)
from control_plane.kit import clock
from control_plane.kit.ids import new_id
from control_plane.ledger import actions as ledger
from control_plane.ledger.rules import SYSTEM

TOKEN_PREFIX = "edb_"  # noqa: S105  # lets a scanner of leaked secrets know one of ours
USE_NOTED_EVERY = timedelta(hours=1)  # a token's last use is a hint, not a record


@dataclass(frozen=True, slots=True)
class NewPerson:
    """Somebody to be known from now on; `password_hash` None: can't log in yet.

    `email` None: Keystone tells of people, not of their addresses.
    """

    email: str | None
    name: str
    locale: str = "ar"
    password_hash: str | None = None


@dataclass(frozen=True, slots=True)
class TokenWish:
    """A token to be made; `scopes` None: all that the person may."""

    name: str
    lasts: timedelta
    scopes: frozenset[Permission] | None = None
    agency_id: str | None = None


def create_person(session: Session, actor_id: str, new: NewPerson) -> Person:
    """Make a person known. Raises: EmailTaken."""
    email = new.email.lower() if new.email is not None else None
    if email is not None and queries.find_person_by_email(session, email) is not None:
        raise EmailTaken(email=new.email)
    now = clock.now()
    person = Person(
        id=new_id("psn"),
        email=email,
        name=new.name,
        locale=new.locale,
        password_hash=new.password_hash,
        email_verified_at=now if email else None,  # whoever adds a person vouches for the address
        created_at=now,
    )
    session.add(person)
    session.flush()
    ledger.append(
        session,
        actor_id=actor_id,
        action="person.created",
        subject_id=person.id,
        agency_id=None,
        payload={"email": person.email, "name": person.name},
    )
    return person


def set_password(session: Session, actor_id: str, person_id: str, password_hash: str) -> None:
    """Give a person a new password, and end every session that the old one began."""
    person = queries.get_person(session, person_id)
    person.password_hash = password_hash
    session.add(person)
    now = clock.now()
    for token in queries.list_sessions_in_force(session, person_id, now):
        token.revoked_at = now
        session.add(token)
    _log(session, actor_id, "person.password_set", person_id)


def disable_person(session: Session, actor_id: str, person_id: str) -> None:
    """Let a person do nothing any more; what they decided keeps its author. Idempotent."""
    person = queries.get_person(session, person_id)
    if person.disabled_at is None:
        person.disabled_at = clock.now()
        session.add(person)
        _log(session, actor_id, "person.disabled", person_id)


def grant_role(
    session: Session, actor_id: str, person_id: str, role: Role, agency_id: str | None
) -> RoleGrant:
    """Give a person a role in an agency, or (None) in the data centre. Idempotent.

    Raises: RoleUnfit for an agency's role in the data centre and the other way round.
    """
    if role not in (CENTRE_ROLES if agency_id is None else AGENCY_ROLES):
        raise RoleUnfit(role=role.value)
    present = queries.find_grant(session, person_id, agency_id, role)
    if present is not None:
        return present
    grant = RoleGrant(
        id=new_id("rol"),
        person_id=person_id,
        agency_id=agency_id,
        role=role,
        granted_at=clock.now(),
        granted_by=actor_id,
    )
    session.add(grant)
    session.flush()
    _log(session, actor_id, "role.granted", person_id, agency_id, role=role.value)
    return grant


def revoke_role(
    session: Session, actor_id: str, person_id: str, role: Role, agency_id: str | None
) -> None:
    """Take a role away; the answer to a role that isn't there is NotFound.

    Raises: NotFound, LastHolder where nobody would answer for the agency or the data centre.
    """
    grant = queries.find_grant(session, person_id, agency_id, role)
    if grant is None:
        raise NotFound(kind="role", id=f"{role.value} of {person_id}")
    is_needed = role in {Role.OWNER, Role.OPERATOR}
    if is_needed and not queries.has_other_holder(session, person_id, agency_id, role):
        raise LastHolder(role=role.value)
    grant.revoked_at = clock.now()
    session.add(grant)
    _log(session, actor_id, "role.revoked", person_id, agency_id, role=role.value)


def start_session(session: Session, person: Person, *, name: str = "login") -> tuple[Token, str]:
    """Give somebody who proved their password a token; return it and its secret."""
    wish = TokenWish(name=name, lasts=SESSION_LENGTH)
    token, secret = _new_token(session, person.id, TokenKind.SESSION, wish)
    _log(session, person.id, "session.started", token.id)
    return token, secret


def create_token(session: Session, actor: Actor, wish: TokenWish) -> tuple[Token, str]:
    """Make a token for a pipeline, no wider and no longer than its maker; return it and its secret.

    Raises: ScopeTooWide, TokenTooLong, TokenForeign, Forbidden for an agency that the actor isn't
    in.
    """
    if actor.token_id is None:
        raise TokenForeign
    own = session.get_one(Token, actor.token_id)
    if own.agency_id is not None and wish.agency_id != own.agency_id:
        raise Forbidden(permission=Permission.TOKEN_WRITE.value)
    if wish.agency_id is not None and wish.agency_id not in actor.agency_roles:
        raise Forbidden(permission=Permission.TOKEN_WRITE.value)
    scopes = wish.scopes if wish.scopes is not None else actor.scopes
    _refuse_wider(actor, scopes, wish.agency_id)
    longest = own.expires_at if own.kind == TokenKind.API else clock.now() + LONGEST_API_TOKEN
    if clock.now() + wish.lasts > longest:
        raise TokenTooLong(until=longest)
    narrowed = TokenWish(wish.name, wish.lasts, scopes, wish.agency_id)
    token, secret = _new_token(session, actor.person_id, TokenKind.API, narrowed)
    _log(
        session,
        actor.person_id,
        "token.created",
        token.id,
        wish.agency_id,
        name=token.name,
        scopes=token.scopes,
        expires_at=token.expires_at.isoformat(),
    )
    return token, secret


def revoke_token(session: Session, actor: Actor, token_id: str) -> Token:
    """Put an own token out of force, at once and for ever. Idempotent. Raises: NotFound."""
    token = queries.get_own_token(session, actor.person_id, token_id)
    if token.revoked_at is None:
        token.revoked_at = clock.now()
        session.add(token)
        _log(session, actor.person_id, "token.revoked", token.id, token.agency_id)
    return token


def create_operator(
    session: Session, actor_id: str, new: NewPerson, *, is_first: bool = True
) -> Person:
    """Make a person of the data centre who may add all others; root does so on the machine itself.

    Raises: EmailTaken; OperatorExists for a first one where there is one already.
    """
    if is_first and queries.is_somebody_operator(session):
        raise OperatorExists
    person = create_person(session, actor_id, new)
    grant_role(session, actor_id, person.id, Role.OPERATOR, None)
    return person


def ensure_example_person(
    session: Session, new: NewPerson, roles: dict[str | None, Role], *, is_loopback_zone: bool
) -> Person:
    """Make an example account (roles by agency id, None: data centre).

    One that is there gets a new password if `new` has one. Raises: ExampleRefused on any zone
    whose names leave this machine.
    """
    if not is_loopback_zone:
        raise ExampleRefused(reason="zone_is_public")
    person = queries.find_person_by_email(session, new.email) if new.email else None
    if person is None:
        person = create_person(session, SYSTEM, new)
    elif new.password_hash is not None:
        set_password(session, SYSTEM, person.id, new.password_hash)
    for agency_id, role in roles.items():
        grant_role(session, SYSTEM, person.id, role, agency_id)
    return person


def find_actor(session: Session, secret: str) -> tuple[Actor, bool] | None:
    """Return who acts with this secret, and whether its use should be noted again."""
    now = clock.now()
    found = queries.find_token_in_force(session, hash_secret(secret), now)
    if found is None:
        return None
    token, person = found
    centre, agencies = _split_roles(queries.list_grants(session, person.id), token.agency_id)
    scopes = None if token.scopes is None else frozenset(Permission(s) for s in token.scopes)
    actor = Actor(person.id, token.id, person.name, person.locale, centre, agencies, scopes)
    is_stale = token.last_used_at is None or now - token.last_used_at > USE_NOTED_EVERY
    return actor, is_stale


def note_use(session: Session, actor: Actor) -> None:
    """Remember roughly when a token of ours was last used."""
    token = session.get_one(Token, actor.token_id)
    token.last_used_at = clock.now()
    session.add(token)


def hash_secret(secret: str) -> str:
    """Return what is stored of a token: 256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _refuse_wider(
    actor: Actor, scopes: frozenset[Permission] | None, agency_id: str | None
) -> None:
    for scope in sorted(scopes or ()):
        has_it = actor.may(scope, agency_id) if agency_id else actor.may_anywhere(scope)
        if not has_it:
            raise ScopeTooWide(scope=scope.value)


def _split_roles(
    grants: Sequence[RoleGrant], only_agency: str | None
) -> tuple[frozenset[Role], dict[str, frozenset[Role]]]:
    """Return the roles in the data centre and by agency; a bound token has one agency's only."""
    centre: set[Role] = set()
    agencies: dict[str, set[Role]] = {}
    for grant in grants:
        role = Role(grant.role)
        if grant.agency_id is None:
            if only_agency is None and role in CENTRE_ROLES:
                centre.add(role)
        elif only_agency in {None, grant.agency_id}:
            agencies.setdefault(grant.agency_id, set()).add(role)
    return frozenset(centre), {agency: frozenset(roles) for agency, roles in agencies.items()}


def _new_token(
    session: Session, person_id: str, kind: TokenKind, wish: TokenWish
) -> tuple[Token, str]:
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    now: datetime = clock.now()
    token = Token(
        id=new_id("tok"),
        person_id=person_id,
        agency_id=wish.agency_id,
        kind=kind,
        name=wish.name,
        secret_hash=hash_secret(secret),
        scopes=None if wish.scopes is None else sorted(scope.value for scope in wish.scopes),
        created_at=now,
        expires_at=now + wish.lasts,
    )
    session.add(token)
    session.flush()
    return token, secret


def _log(
    session: Session,
    actor_id: str,
    action: str,
    subject_id: str,
    agency_id: str | None = None,
    **payload: object,
) -> None:
    ledger.append(
        session,
        actor_id=actor_id,
        action=action,
        subject_id=subject_id,
        agency_id=agency_id,
        payload=payload,
    )

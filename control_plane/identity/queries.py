"""Every SELECT of identity."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from control_plane.identity.models import (
    KeystoneProject,
    KeystoneUser,
    Person,
    RoleGrant,
    Token,
)
from control_plane.identity.rules import NotFound, Role, TokenKind
from control_plane.kit.pagination import Page, decode_cursor, page_of


def find_person(session: Session, person_id: str) -> Person | None:
    """Return a person."""
    return session.get(Person, person_id)


def get_person(session: Session, person_id: str) -> Person:
    """Return a person. Raises: NotFound."""
    person = session.get(Person, person_id)
    if person is None:
        raise NotFound(kind="person", id=person_id)
    return person


def find_person_by_email(session: Session, email: str) -> Person | None:
    """Return the person with this address, however it is capitalised."""
    return session.exec(select(Person).where(col(Person.email) == email.lower())).first()


def find_token_in_force(
    session: Session, secret_hash: str, now: datetime
) -> tuple[Token, Person] | None:
    """Return the token with this hash and its person, if neither is out of force."""
    query = (
        select(Token, Person)
        .join(Person, col(Person.id) == col(Token.person_id))
        .where(
            col(Token.secret_hash) == secret_hash,
            col(Token.revoked_at).is_(None),
            col(Token.expires_at) > now,
            col(Person.disabled_at).is_(None),
        )
    )
    return session.exec(query).first()


def list_grants(session: Session, person_id: str) -> Sequence[RoleGrant]:
    """Return the roles that a person has at this moment."""
    query = select(RoleGrant).where(
        col(RoleGrant.person_id) == person_id, col(RoleGrant.revoked_at).is_(None)
    )
    return session.exec(query.order_by(col(RoleGrant.id))).all()


def list_tokens(session: Session, person_id: str, cursor: str | None, limit: int) -> Page[Token]:
    """Return a person's own tokens, newest first, those out of force included."""
    query = select(Token).where(col(Token.person_id) == person_id)
    before = decode_cursor(cursor)
    if before is not None:
        query = query.where(col(Token.id) < before)
    rows = session.exec(query.order_by(col(Token.id).desc()).limit(limit + 1)).all()
    return page_of(rows, limit, lambda token: token.id)


def get_own_token(session: Session, person_id: str, token_id: str) -> Token:
    """Return a token of the person, locked. Raises: NotFound, also for another's."""
    query = select(Token).where(col(Token.id) == token_id, col(Token.person_id) == person_id)
    token = session.exec(query.with_for_update()).first()
    if token is None:
        raise NotFound(kind="token", id=token_id)
    return token


def list_sessions_in_force(session: Session, person_id: str, now: datetime) -> Sequence[Token]:
    """Return the tokens that a person got by logging in and that still hold."""
    query = select(Token).where(
        col(Token.person_id) == person_id,
        col(Token.kind) == TokenKind.SESSION,
        col(Token.revoked_at).is_(None),
        col(Token.expires_at) > now,
    )
    return session.exec(query).all()


def find_grant(
    session: Session, person_id: str, agency_id: str | None, role: Role
) -> RoleGrant | None:
    """Return the present grant of a role."""
    agency = col(RoleGrant.agency_id)
    query = select(RoleGrant).where(
        col(RoleGrant.person_id) == person_id,
        agency.is_(None) if agency_id is None else agency == agency_id,
        col(RoleGrant.role) == role,
        col(RoleGrant.revoked_at).is_(None),
    )
    return session.exec(query).first()


def list_members(
    session: Session, agency_id: str, cursor: str | None, limit: int
) -> Page[tuple[RoleGrant, Person]]:
    """Return who has which role in an agency, in the order of the grants."""
    query = (
        select(RoleGrant, Person)
        .join(Person, col(Person.id) == col(RoleGrant.person_id))
        .where(col(RoleGrant.agency_id) == agency_id, col(RoleGrant.revoked_at).is_(None))
    )
    after = decode_cursor(cursor)
    if after is not None:
        query = query.where(col(RoleGrant.id) > after)
    rows = session.exec(query.order_by(col(RoleGrant.id)).limit(limit + 1)).all()
    return page_of(rows, limit, lambda row: row[0].id)


def has_other_holder(session: Session, person_id: str, agency_id: str | None, role: Role) -> bool:
    """Whether somebody else holds this role in the agency (None: in the data centre) too."""
    agency = col(RoleGrant.agency_id)
    query = (
        select(RoleGrant.id)
        .join(Person, col(Person.id) == col(RoleGrant.person_id))
        .where(
            agency.is_(None) if agency_id is None else agency == agency_id,
            col(RoleGrant.role) == role,
            col(RoleGrant.person_id) != person_id,
            col(RoleGrant.revoked_at).is_(None),
            col(Person.disabled_at).is_(None),
        )
    )
    return session.exec(query.limit(1)).first() is not None


def is_somebody_operator(session: Session) -> bool:
    """Whether the data centre has an operator yet."""
    query = select(RoleGrant.id).where(
        col(RoleGrant.role) == Role.OPERATOR, col(RoleGrant.revoked_at).is_(None)
    )
    return session.exec(query.limit(1)).first() is not None


def find_keystone_project(session: Session, project_id: str) -> KeystoneProject | None:
    """Return whom a project of Keystone acts for."""
    return session.get(KeystoneProject, project_id)


def lock_keystone_project(session: Session, project_id: str) -> KeystoneProject | None:
    """Return whom a project of Keystone acts for; it doesn't change until the caller's commit."""
    return session.get(KeystoneProject, project_id, with_for_update=True)


def list_keystone_projects(
    session: Session, agency_id: str | None, cursor: str | None, limit: int
) -> Page[KeystoneProject]:
    """Return the projects that act for an agency, or (None) for the data centre."""
    agency = col(KeystoneProject.agency_id)
    query = select(KeystoneProject).where(
        agency.is_(None) if agency_id is None else agency == agency_id
    )
    after = decode_cursor(cursor)
    if after is not None:
        query = query.where(col(KeystoneProject.project_id) > after)
    rows = session.exec(query.order_by(col(KeystoneProject.project_id)).limit(limit + 1)).all()
    return page_of(rows, limit, lambda row: row.project_id)


def find_keystone_person(session: Session, user_id: str) -> Person | None:
    """Return who a user of Keystone is here."""
    query = (
        select(Person)
        .join(KeystoneUser, col(KeystoneUser.person_id) == col(Person.id))
        .where(col(KeystoneUser.user_id) == user_id)
    )
    return session.exec(query).first()

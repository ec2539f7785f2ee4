"""Who somebody is here whom Keystone vouches for: by their project and their roles in it.

Nothing is taken over from a name or an address: whoever may name users in a Keystone could else
become anybody here. A person is known by their user's id, made when they first come.
"""

from dataclasses import dataclass, field

from sqlmodel import Session

from control_plane.identity import actions, queries
from control_plane.identity.models import KeystoneProject, KeystoneUser, Person
from control_plane.identity.rules import (
    AGENCY_ROLES,
    BY_KEYSTONE,
    CENTRE_ROLES,
    Actor,
    NotFound,
    PersonDisabled,
    ProjectMissing,
    ProjectRolesUnmapped,
    ProjectTaken,
    ProjectUnmapped,
    Role,
    RoleUnfit,
)
from control_plane.kit import clock
from control_plane.ledger import actions as ledger
from control_plane.ledger.rules import SYSTEM
from control_plane.ports.identity_source.port import Verified

NAME_LENGTH = 120  # of a person; Keystone's may be longer


@dataclass(frozen=True, slots=True)
class Mapping:
    """Whom a project shall act for: an agency, or (None) the data centre.

    `roles` are ours by the name of the role in Keystone.
    """

    project_id: str
    domain_id: str
    agency_id: str | None
    roles: dict[str, Role] = field(default_factory=dict)


def find_actor(session: Session, verified: Verified) -> Actor | None:
    """Return who acts with a token that says this; None: they never came before.

    Raises: ProjectMissing, ProjectUnmapped, ProjectRolesUnmapped, PersonDisabled.
    """
    project = _project_of(session, verified)
    person = queries.find_keystone_person(session, verified.user_id)
    return _actor(person, project, verified) if person is not None else None


def meet(session: Session, verified: Verified) -> Actor:
    """Return who acts with a token that says this, and make them known if they never came before.

    Raises: as `find_actor`.
    """
    project = _project_of(session, verified)
    person = queries.find_keystone_person(session, verified.user_id)
    if person is None:
        person = _make_known(session, verified, project)
    return _actor(person, project, verified)


def map_project(session: Session, actor_id: str, wish: Mapping) -> KeystoneProject:
    """Let a project's members act for an agency, or for the data centre. Idempotent.

    Raises: RoleUnfit, ProjectTaken for one that acts for somebody else.
    """
    for role in wish.roles.values():
        if role not in (CENTRE_ROLES if wish.agency_id is None else AGENCY_ROLES):
            raise RoleUnfit(role=role.value)
    roles = {name: role.value for name, role in sorted(wish.roles.items())}
    row = queries.lock_keystone_project(session, wish.project_id)
    if row is not None and row.agency_id != wish.agency_id:
        raise ProjectTaken(project=wish.project_id)
    if row is not None and (row.domain_id, row.roles) == (wish.domain_id, roles):
        return row
    said = KeystoneProject(
        project_id=wish.project_id,
        domain_id=wish.domain_id,
        agency_id=wish.agency_id,
        roles=roles,
        mapped_at=clock.now(),
        mapped_by=actor_id,
    )
    row = session.merge(said)
    session.flush()
    ledger.append(
        session,
        actor_id=actor_id,
        action="project.mapped",
        subject_id=row.project_id,
        agency_id=row.agency_id,
        payload={"domain_id": row.domain_id, "roles": roles},
    )
    return row


def unmap_project(session: Session, actor_id: str, project_id: str, agency_id: str | None) -> None:
    """Let a project act for nobody any more; at the next request. Raises: NotFound."""
    row = queries.lock_keystone_project(session, project_id)
    if row is None or row.agency_id != agency_id:
        raise NotFound(kind="project", id=project_id)
    session.delete(row)
    ledger.append(
        session,
        actor_id=actor_id,
        action="project.unmapped",
        subject_id=project_id,
        agency_id=agency_id,
        payload={},
    )


def _project_of(session: Session, verified: Verified) -> KeystoneProject:
    said = verified.project
    if said is None:
        raise ProjectMissing
    known = queries.find_keystone_project(session, said.id)
    if known is None or known.domain_id != said.domain_id:
        raise ProjectUnmapped(project=said.id, domain=said.domain_id)
    if not verified.roles & known.roles.keys():
        has, counts = (", ".join(sorted(names)) or "–" for names in (verified.roles, known.roles))
        raise ProjectRolesUnmapped(project=said.id, has=has, counts=counts)
    return known


def _actor(person: Person, project: KeystoneProject, verified: Verified) -> Actor:
    if person.disabled_at is not None:
        raise PersonDisabled
    roles = frozenset(
        Role(ours) for theirs, ours in project.roles.items() if theirs in verified.roles
    )
    agency_id = project.agency_id
    return Actor(
        person.id,
        None,
        person.name,
        person.locale,
        frozenset() if agency_id else roles,
        {agency_id: roles} if agency_id else {},
        BY_KEYSTONE,
    )


def _make_known(session: Session, verified: Verified, project: KeystoneProject) -> Person:
    said = "".join(letter for letter in verified.user_name if letter.isprintable())
    new = actions.NewPerson(None, said[:NAME_LENGTH] or verified.user_id)
    person = actions.create_person(session, SYSTEM, new)
    user = KeystoneUser(
        user_id=verified.user_id,
        domain_id=verified.user_domain_id,
        person_id=person.id,
        met_at=clock.now(),
    )
    session.add(user)
    session.flush()
    ledger.append(
        session,
        actor_id=person.id,
        action="person.met",
        subject_id=person.id,
        agency_id=project.agency_id,
        payload={
            "keystone_user": user.user_id,
            "domain_id": user.domain_id,
            "project_id": project.project_id,
        },
    )
    return person

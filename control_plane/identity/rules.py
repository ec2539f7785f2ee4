"""Who may do what: roles, permissions, and the actor on whose behalf something happens."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import ClassVar

from control_plane.kit.errors import Problem


class Role(StrEnum):
    """What somebody is: in an agency (the first three) or in the data centre."""

    OWNER = "owner"  # answers for the agency: people, budget, requests, ending
    DEVELOPER = "developer"  # asks for hosting and deploys releases
    VIEWER = "viewer"
    OPERATOR = "operator"  # approves, watches, mends
    AUDITOR = "auditor"  # reads everything, changes nothing


AGENCY_ROLES = frozenset({Role.OWNER, Role.DEVELOPER, Role.VIEWER})
CENTRE_ROLES = frozenset({Role.OPERATOR, Role.AUDITOR})


class TokenKind(StrEnum):
    """How a token came to be: `session` by logging in, `api` made for a pipeline."""

    SESSION = "session"
    API = "api"


class Permission(StrEnum):
    """What a route asks for; also the scopes of a token."""

    SELF_READ = "self:read"
    TOKEN_WRITE = "token:write"  # noqa: S105  # a name
    AGENCY_READ = "agency:read"
    AGENCY_WRITE = "agency:write"  # data centre: agencies, quotas, budgets
    MEMBER_WRITE = "member:write"
    BLUEPRINT_READ = "blueprint:read"
    BLUEPRINT_WRITE = "blueprint:write"
    HOSTING_READ = "hosting:read"
    HOSTING_REQUEST = "hosting:request"
    HOSTING_END = "hosting:end"
    HOSTING_SUSPEND = "hosting:suspend"  # close and open again
    REQUEST_DECIDE = "request:decide"
    RELEASE_READ = "release:read"
    RELEASE_WRITE = "release:write"  # upload and deploy
    LOG_READ = "log:read"  # what an application wrote; it may be about people
    OPERATION_READ = "operation:read"
    OPERATION_WRITE = "operation:write"
    LEDGER_READ = "ledger:read"


SESSION_LENGTH = timedelta(hours=12)  # a working day
LONGEST_API_TOKEN = timedelta(days=365)

_READS = frozenset(
    {
        Permission.SELF_READ,
        Permission.AGENCY_READ,
        Permission.BLUEPRINT_READ,
        Permission.HOSTING_READ,
        Permission.RELEASE_READ,
    }
)
_OWN = frozenset({Permission.SELF_READ, Permission.TOKEN_WRITE})

PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _READS | _OWN,
    Role.DEVELOPER: _READS
    | _OWN
    | {Permission.HOSTING_REQUEST, Permission.RELEASE_WRITE, Permission.LOG_READ},
    Role.OWNER: _READS
    | _OWN
    | {
        Permission.HOSTING_REQUEST,
        Permission.HOSTING_END,
        Permission.HOSTING_SUSPEND,
        Permission.RELEASE_WRITE,
        Permission.LOG_READ,
        Permission.MEMBER_WRITE,
        Permission.LEDGER_READ,
    },
    Role.OPERATOR: _READS
    | _OWN
    | {
        Permission.AGENCY_WRITE,
        Permission.MEMBER_WRITE,
        Permission.BLUEPRINT_WRITE,
        Permission.REQUEST_DECIDE,
        Permission.HOSTING_SUSPEND,
        Permission.OPERATION_READ,
        Permission.OPERATION_WRITE,
        Permission.LEDGER_READ,
    },
    Role.AUDITOR: _READS | _OWN | {Permission.OPERATION_READ, Permission.LEDGER_READ},
}


# A token of ours would outlive the one of Keystone that it was made with.
BY_KEYSTONE = frozenset(Permission) - {Permission.TOKEN_WRITE}


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody acting: a person through a token, with the roles they have at this moment.

    `token_id` None: the token is Keystone's, and only the roles that it stands for count.
    """

    person_id: str
    token_id: str | None
    name: str
    locale: str
    centre_roles: frozenset[Role]
    agency_roles: dict[str, frozenset[Role]] = field(default_factory=dict)
    scopes: frozenset[Permission] | None = None  # None: not narrowed

    def may(self, permission: Permission, agency_id: str | None = None) -> bool:
        """Whether the actor may do this in the agency, or (None) anywhere in the data centre."""
        if self.scopes is not None and permission not in self.scopes:
            return False
        roles = self.centre_roles | self.agency_roles.get(agency_id or "", frozenset())
        return any(permission in PERMISSIONS[role] for role in roles)

    def may_anywhere(self, permission: Permission) -> bool:
        """Whether the actor may do this in the data centre or in at least one agency."""
        return self.may(permission) or any(
            self.may(permission, agency) for agency in self.agency_roles
        )

    def agencies_with(self, permission: Permission) -> frozenset[str] | None:
        """Return the agencies in which the actor may do this; None means in all of them."""
        if self.may(permission):
            return None
        return frozenset(a for a in self.agency_roles if self.may(permission, a))


class NotAuthenticated(Problem):
    """No token, or one that is wrong, expired or revoked; which of these is not said."""

    code: ClassVar[str] = "not_authenticated"
    status: ClassVar[int] = 401
    title: ClassVar[str] = "Please log in"
    mend: ClassVar[str] = "Log in with `edubba login`, or give a valid API token."


class Forbidden(Problem):
    """The actor may see that this exists, but not do it."""

    code: ClassVar[str] = "forbidden"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "You are not allowed to do this"
    mend: ClassVar[str] = "It needs the permission {permission}. Ask your agency's owner."


class NotFound(Problem):
    """There is no such thing, or not for this actor: foreign things look absent."""

    code: ClassVar[str] = "not_found"
    status: ClassVar[int] = 404
    title: ClassVar[str] = "There is no {kind} {id}"
    mend: ClassVar[str] = "Check the name; you see only what belongs to your agency."


class LoginRefused(Problem):
    """The address and the password don't fit; which of them is wrong is not said."""

    code: ClassVar[str] = "login_refused"
    status: ClassVar[int] = 401
    title: ClassVar[str] = "The e-mail address or the password is wrong"
    mend: ClassVar[str] = "Try again, or ask the data centre for a new password."


class TooManyLogins(Problem):
    """Too many tries for this address, or from this place."""

    code: ClassVar[str] = "too_many_logins"
    status: ClassVar[int] = 429
    title: ClassVar[str] = "There were too many attempts to log in"
    mend: ClassVar[str] = "Wait {retry_after_s} seconds and try again."


class EmailTaken(Problem):
    """Somebody has this address already."""

    code: ClassVar[str] = "email_taken"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "Somebody with the address {email} is known already"
    mend: ClassVar[str] = "Give that person a role instead of adding them again."


class RoleUnfit(Problem):
    """An agency's role in the data centre, or the other way round."""

    code: ClassVar[str] = "role_unfit"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The role {role} doesn't exist here"
    mend: ClassVar[str] = (
        "An agency has owners, developers and viewers; the data centre operators and auditors."
    )


class LastHolder(Problem):
    """Without this person nobody would have the role."""

    code: ClassVar[str] = "last_holder"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "Nobody else has the role {role}"
    mend: ClassVar[str] = "Give the role to somebody else first."


class ScopeTooWide(Problem):
    """A token would be allowed what its maker is not."""

    code: ClassVar[str] = "scope_too_wide"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "You can't give a token the permission {scope}"
    mend: ClassVar[str] = "A token can have only permissions that you have yourself."


class TokenTooLong(Problem):
    """A token would hold for too long."""

    code: ClassVar[str] = "token_too_long"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "A token can't be valid after {until}"
    mend: ClassVar[str] = "Choose an earlier end: a year at most, and no later than its maker's."


class ExampleRefused(Problem):
    """An account of the set-up that must not be made here."""

    code: ClassVar[str] = "example_refused"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "This account can't be made here: {reason}"
    mend: ClassVar[str] = "Example accounts exist on zones of this machine only."


class OperatorExists(Problem):
    """The first operator is made once."""

    code: ClassVar[str] = "operator_exists"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The data centre has an operator already"
    mend: ClassVar[str] = (
        "`edubba setup operator EMAIL --name NAME --another` makes one more,"
        " `edubba setup password EMAIL` gives somebody a new password."
    )


class KeystoneOff(Problem):
    """A token of Keystone where none is asked."""

    code: ClassVar[str] = "keystone_off"
    status: ClassVar[int] = 401
    title: ClassVar[str] = "Tokens of Keystone are not taken here"
    mend: ClassVar[str] = "Log in with `edubba login`, or have an operator set EDUBBA_KEYSTONE_URL."


class KeystoneTokenRefused(Problem):
    """Keystone doesn't vouch for the token; why is not said there either."""

    code: ClassVar[str] = "keystone_token_refused"
    status: ClassVar[int] = 401
    title: ClassVar[str] = "Keystone doesn't accept this token"
    mend: ClassVar[str] = (
        "It expired or was revoked, or its user or project is disabled."
        " `openstack token issue` gives a new one."
    )


class IdentitySourceUnavailable(Problem):
    """Nobody can say whose the token is; nobody is let in meanwhile."""

    code: ClassVar[str] = "identity_source_unavailable"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "Keystone can't be asked about this token at the moment"
    mend: ClassVar[str] = "Try again in a few seconds. Tokens of `edubba login` work meanwhile."


class ProjectMissing(Problem):
    """An unscoped token, or one for a domain or the whole system."""

    code: ClassVar[str] = "project_missing"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The token is for no project"
    mend: ClassVar[str] = "Get one for your agency's project: set OS_PROJECT_ID and log in again."


class ProjectUnmapped(Problem):
    """A project that stands for nobody here."""

    code: ClassVar[str] = "project_unmapped"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The project {project} of Keystone belongs to no agency here"
    mend: ClassVar[str] = (
        "Ask the data centre:"
        " `edubba agency project set AGENCY {project} --domain {domain} --role THEIRS=OURS`."
    )


class ProjectRolesUnmapped(Problem):
    """The project is known, but not what its role means here."""

    code: ClassVar[str] = "project_roles_unmapped"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "None of your roles in the project {project} counts here"
    mend: ClassVar[str] = "You have {has}; here count {counts}. Ask who manages the project."


class ProjectTaken(Problem):
    """A project stands for one agency, or for the data centre."""

    code: ClassVar[str] = "project_taken"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The project {project} belongs to somebody else here"
    mend: ClassVar[str] = "Have it removed there first; a project belongs to one agency."


class PersonDisabled(Problem):
    """Known to Keystone, but not let in here any more."""

    code: ClassVar[str] = "person_disabled"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "Your account here is disabled"
    mend: ClassVar[str] = "Ask the data centre why."


class TokenForeign(Problem):
    """What only a token of ours can do, such as logging out."""

    code: ClassVar[str] = "token_foreign"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "This token is Keystone's"
    mend: ClassVar[str] = "`openstack token revoke` puts it out of force."

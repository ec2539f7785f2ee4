"""`edubba setup`: what root does on the machine itself, before there is anybody who may log in."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer
from email_validator import EmailNotValidError, validate_email

from control_plane.cli.account import read_password
from control_plane.cli.choices import pairs
from control_plane.cli.exits import Code, Stop
from control_plane.cli.installation import find_settings, is_others_database, run_as_worker
from control_plane.cli.projects import DomainOption, ProjectArgument, spell
from control_plane.cli.terminal import answer, options, rows, say, tr
from control_plane.kit.db import Database
from control_plane.kit.passwords import MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH

group = typer.Typer(no_args_is_help=True)
EmailArgument = Annotated[str, typer.Argument(metavar="EMAIL", help="The address to log in with.")]
PipedOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]


@group.command()
def operator(
    email: EmailArgument,
    name: Annotated[str, typer.Option("--name", help="What others read.")],
    language: Annotated[str, typer.Option("--language", help="ar or en, for them.")] = "ar",
    another: Annotated[
        bool, typer.Option("--another", help="One more, besides those there are.")
    ] = False,
    password_stdin: PipedOption = False,
) -> None:
    """Make the first operator's account; the password is asked for, or read from a pipe."""
    if language not in {"ar", "en"}:
        raise Stop(Code.USAGE, "language_unknown", tr("The language is ar or en"))
    address = _address(email)
    password = _new_password(is_piped=password_stdin)
    if is_others_database():
        flags = ["--name", name, "--language", language, *(["--another"] if another else [])]
        _as_worker(["operator", address, *flags, "--password-stdin"], password)
        return
    from control_plane.identity import actions as people
    from control_plane.kit.passwords import hash_password
    from control_plane.ledger.rules import SYSTEM

    new = people.NewPerson(address, name, language, hash_password(password))
    with _database() as db, db.begin() as session:
        person = people.create_operator(session, SYSTEM, new, is_first=not another)
        made = {"id": person.id, "email": person.email, "role": "operator"}
    message = tr("{email} is an operator now: edubba login --email {email}", email=address)
    answer(made, lambda: say(message))


@group.command()
def password(email: EmailArgument, password_stdin: PipedOption = False) -> None:
    """Give somebody a new password; whoever is logged in with the old one is logged out."""
    address = _address(email)
    word = _new_password(is_piped=password_stdin)
    if is_others_database():
        _as_worker(["password", address, "--password-stdin"], word)
        return
    from control_plane.identity import actions as people
    from control_plane.identity.queries import find_person_by_email
    from control_plane.identity.rules import NotFound
    from control_plane.kit.passwords import hash_password
    from control_plane.ledger.rules import SYSTEM

    stored = hash_password(word)
    with _database() as db, db.begin() as session:
        person = find_person_by_email(session, address)
        if person is None:
            raise NotFound(kind="person", id=address)
        people.set_password(session, SYSTEM, person.id, stored)
        done = {"id": person.id, "email": person.email}
    answer(done, lambda: say(tr("{email} has a new password.", email=address)))


@group.command()
def keystone(
    project: ProjectArgument,
    domain: DomainOption = "",
    role: Annotated[
        list[str] | None,
        typer.Option("--role", help="theirs=ours, such as admin=operator; none: no more."),
    ] = None,
) -> None:
    """Let a project of Keystone act for the data centre: its members are operators or auditors."""
    if is_others_database():
        said = [f"--role={one}" for one in role or ()]
        _as_worker(["keystone", project, f"--domain={domain}", *said], "")
        return
    if role and not domain:
        raise Stop(Code.USAGE, "domain_missing", tr("Say the project's domain with --domain"))
    from control_plane.identity.actions import keystone as mapping
    from control_plane.identity.rules import Role, RoleUnfit
    from control_plane.ledger.rules import SYSTEM

    try:
        roles = {theirs: Role(ours) for theirs, ours in pairs(role)}
    except ValueError:
        raise RoleUnfit(role=", ".join(ours for _, ours in pairs(role))) from None
    with _database() as db, db.begin() as session:
        if roles:
            wish = mapping.Mapping(project, domain, None, roles)
            mapping.map_project(session, SYSTEM, wish)
        else:
            mapping.unmap_project(session, SYSTEM, project, None)
    told = {"project": project, "roles": spell({name: str(ours) for name, ours in roles.items()})}
    if roles:
        message = tr("{project} acts for the data centre now: {roles}.", **told)
    else:
        message = tr("{project} doesn't act for the data centre any more.", **told)
    answer(told, lambda: say(message))


@group.command()
def examples(
    new_passwords: Annotated[
        bool, typer.Option("--new-passwords", help="Replace those they have.")
    ] = False,
) -> None:
    """Make the example accounts, or give them new passwords; only on a zone of this machine."""
    if is_others_database():
        _as_worker(["examples", *(["--new-passwords"] if new_passwords else [])], "")
        return
    from control_plane.cli.examples import ensure_examples

    settings = find_settings()
    with _database() as db:
        accounts = ensure_examples(
            db, is_loopback_zone=settings.is_loopback_zone, with_new_passwords=new_passwords
        )
    hidden = tr("told when it was made; --new-passwords makes another")
    shown = [{"role": one.role, "email": one.email, "password": one.password} for one in accounts]
    cells = [[one.role, one.email, one.password or hidden] for one in accounts]
    answer({"items": shown}, lambda: rows(("Role", "E-mail", "Password"), cells))


@contextmanager
def _database() -> Iterator[Database]:
    import control_plane.migrations.tables  # noqa: F401  # rows refer to those of other rooms

    db = Database(find_settings().database_url.get_secret_value())
    try:
        yield db
    finally:
        db.close()


def _as_worker(arguments: Sequence[str], piped: str) -> None:
    said = ["--locale", options().locale, *(["--json"] if options().as_json else [])]
    command = ["control_plane.cli.main", "setup", *arguments, *said]
    code = run_as_worker(command, f"{piped}\n")
    if code:
        raise typer.Exit(code)


def _address(email: str) -> str:
    try:
        return validate_email(email, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise Stop(
            Code.USAGE,
            "email_invalid",
            tr("{email} is no e-mail address", email=email),
            why=str(error),
        ) from error


def _new_password(*, is_piped: bool) -> str:
    word = read_password(is_piped=is_piped, is_new=True)
    if not MIN_PASSWORD_LENGTH <= len(word) <= MAX_PASSWORD_LENGTH:
        raise Stop(
            Code.USAGE,
            "password_unfit",
            tr(
                "A password has {least} to {most} characters",
                least=MIN_PASSWORD_LENGTH,
                most=MAX_PASSWORD_LENGTH,
            ),
        )
    return word

"""Declared attachments: what runs is attached, what doesn't run yet is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlmodel import Session

from control_plane.hosting import queries
from control_plane.hosting.actions.attaching import attach, check_attachable
from control_plane.hosting.models import Attachment, Hosting
from control_plane.hosting.rules import (
    AlreadyAttached,
    HostingStatus,
    JoinVerdict,
    TenantFile,
    VariableTaken,
)
from control_plane.identity.rules import Actor, NotFound
from control_plane.kit.errors import Problem

Place = tuple[int, int]  # of the hosting in the file, of the attachment in the hosting


@dataclass(frozen=True, slots=True)
class Joined:
    """One attachment by the names of its two ends, and what it comes to; `row` once it is there."""

    hosting: str
    target: str
    variable: str
    verdict: JoinVerdict
    row: Attachment | None = None


@dataclass(frozen=True, slots=True)
class _Pair:
    """The two ends of a declared attachment, as far as they are there."""

    place: Place
    client: Hosting | None
    target: Hosting | None

    @property
    def do_run(self) -> bool:
        return {one and one.status for one in (self.client, self.target)} == {HostingStatus.ACTIVE}


def find_attachable(session: Session, file: TenantFile) -> set[str]:
    """Return the names of hostings that run and are to be attached to one another."""
    names = set()
    for pair in _pairs(session, file):
        if pair.client and pair.target and pair.do_run:
            with _pointing_at(pair.place):
                variable = check_attachable(session, pair.client, pair.target).variable
            if queries.find_wished_attachment(session, pair.client.id, variable) is None:
                names |= {pair.client.name, pair.target.name}
    return names


def attach_running(session: Session, actor: Actor, file: TenantFile) -> list[str]:
    """Attach what is declared and runs; return the ids of what is new.

    Raises: what `attach` does, with the place in the file.
    """
    made = []
    for pair in _pairs(session, file):
        if pair.client and pair.target and pair.do_run:
            with _pointing_at(pair.place):
                variable = check_attachable(session, pair.client, pair.target).variable
                if queries.find_wished_attachment(session, pair.client.id, variable) is None:
                    made.append(attach(session, actor, pair.client.id, pair.target.id).id)
    return made


def list_joined(session: Session, file: TenantFile, made: list[str]) -> list[Joined]:
    """Say of each attachment, once all hostings have rows, what it comes to; `made` are new.

    Raises: NotFound, NotAttachable, VariableTaken, with the place in the file.
    """
    joined: list[Joined] = []
    for pair in _pairs(session, file):
        with _pointing_at(pair.place):
            joined.append(_judge(session, file, pair, made, joined))
    return [*joined, *_list_undeclared(session, file, joined)]


def refuse_differing(file: TenantFile, joined: list[Joined]) -> None:
    """Raise AlreadyAttached where an application has its variable from another database."""
    for one in joined:
        if one.verdict == JoinVerdict.DIFFERS and one.row is not None:
            names = [wished.name for wished in file.hostings]
            index = names.index(one.hosting)
            with _pointing_at((index, file.hostings[index].attachments.index(one.target))):
                raise AlreadyAttached(
                    client=one.hosting, variable=one.variable, attachment=one.row.id
                )


def _pairs(session: Session, file: TenantFile) -> Iterator[_Pair]:
    for index, wished in enumerate(file.hostings):
        if wished.state == "ended":
            continue
        for number, name in enumerate(wished.attachments):
            client, target = (
                queries.find_hosting(session, f"{file.agency}:{one}") for one in (wished.name, name)
            )
            yield _Pair((index, number), client, target)


def _judge(
    session: Session, file: TenantFile, pair: _Pair, made: list[str], before: list[Joined]
) -> Joined:
    index, number = pair.place
    name = file.hostings[index].attachments[number]
    if pair.client is None or pair.target is None:
        raise NotFound(kind="hosting", id=name)
    client, target = pair.client, pair.target
    variable = check_attachable(session, client, target).variable
    for one in before:
        if (one.hosting, one.variable) == (client.name, variable):
            raise VariableTaken(
                client=client.name, variable=variable, first=one.target, target=target.name
            )
    row = queries.find_wished_attachment(session, client.id, variable)
    if row is None:
        return Joined(client.name, target.name, variable, JoinVerdict.WAITS)
    verdict = JoinVerdict.ATTACH if row.id in made else JoinVerdict.UNCHANGED
    if row.target_id != target.id:
        verdict = JoinVerdict.DIFFERS
    return Joined(client.name, target.name, variable, verdict, row)


def _list_undeclared(session: Session, file: TenantFile, joined: list[Joined]) -> Iterator[Joined]:
    known = {one.row.id for one in joined if one.row is not None}
    for wished in file.hostings:
        hosting = queries.find_hosting(session, f"{file.agency}:{wished.name}")
        if hosting is None or wished.state == "ended":
            continue
        rows = queries.list_unfinished_attachments(session, hosting.id)
        mine = [row for row in rows if row.hosting_id == hosting.id and row.detached_at is None]
        for view in queries.view_attachments(session, [row for row in mine if row.id not in known]):
            row = view.attachment
            yield Joined(wished.name, view.target, row.variable, JoinVerdict.UNDECLARED, row)


@contextmanager
def _pointing_at(place: Place) -> Iterator[None]:
    """Say of a problem which attachment of the file it is about, as a JSON pointer (RFC 6901)."""
    try:
        yield
    except Problem as problem:
        problem.facts["pointer"] = f"/hostings/{place[0]}/attachments/{place[1]}"
        raise

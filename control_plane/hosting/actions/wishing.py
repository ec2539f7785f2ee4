"""Declared wishes become requests; what is there as wished already is left alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlmodel import Session

from control_plane.blueprints import queries as blueprints
from control_plane.blueprints.rules import (
    BlueprintUnknown,
    InputInvalid,
    PriceUnknown,
    SizeUnknown,
    check_inputs,
)
from control_plane.hosting import queries
from control_plane.hosting.actions.attaching import hold
from control_plane.hosting.actions.changing import submit_change
from control_plane.hosting.actions.joining import (
    Joined,
    attach_running,
    find_attachable,
    list_joined,
    refuse_differing,
)
from control_plane.hosting.actions.submitting import submit_create, submit_end
from control_plane.hosting.actions.terms import Terms
from control_plane.hosting.models import Hosting, Request
from control_plane.hosting.rules import (
    CHANGEABLE,
    GONE,
    Change,
    Difference,
    DiskCannotShrink,
    HostingDiffers,
    HostingStatus,
    NewHosting,
    NotChangeable,
    RequestKind,
    RequestOpen,
    TenantFile,
    WishedHosting,
    WishVerdict,
    list_differences,
)
from control_plane.hostnames.rules import (
    HostnameForeign,
    HostnameLookalike,
    HostnameMalformed,
    HostnameReserved,
    HostnameTaken,
    parse_hostname,
)
from control_plane.identity.rules import Actor, Permission
from control_plane.kit.errors import Problem
from control_plane.tenancy import queries as tenancy
from control_plane.tenancy.rules import (
    NoRegionOpen,
    RegionNotAllowed,
    RegionNotOpen,
    RegionNotServed,
    RegionUnknown,
    RegionUnnamed,
    TenantEnding,
)

_ASK = Permission.HOSTING_REQUEST
_OVER = GONE | {HostingStatus.ENDING}
# Which part of a file a problem is about, so that its reader is shown the line.
_OF_THE_FILE: dict[type[Problem], str] = {
    NoRegionOpen: "region",
    RegionNotAllowed: "region",
    RegionNotOpen: "region",
    RegionNotServed: "region",
    RegionUnknown: "region",
    RegionUnnamed: "region",
    TenantEnding: "tenant",
}
_OF_THE_HOSTING: dict[type[Problem], str] = {
    BlueprintUnknown: "blueprint",
    SizeUnknown: "size",
    DiskCannotShrink: "size",
    PriceUnknown: "size",
    HostnameForeign: "hostname",
    HostnameLookalike: "hostname",
    HostnameMalformed: "hostname",
    HostnameReserved: "hostname",
    HostnameTaken: "hostname",
}


@dataclass(frozen=True, slots=True)
class Granted:
    """One wish, the hosting it is about as it was before, and the request it became.

    `request` None: there is nothing to ask for, or (`differences`) nothing that could be.
    """

    wished: WishedHosting
    verdict: WishVerdict
    hosting: Hosting | None
    before: HostingStatus | None
    request: Request | None = None
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """What a file came to: each of its hostings in its order, and each attachment."""

    hostings: list[Granted]
    attachments: list[Joined]


def plan_wishes(session: Session, actor: Actor, file: TenantFile, terms: Terms) -> Applied:
    """Do what `apply_wishes` does, but tell of what differs; the caller undoes it all.

    Raises: what `apply_wishes` does, without HostingDiffers and AlreadyAttached.
    """
    agency = tenancy.get_agency_for(session, actor, file.agency, _ASK)
    granted: dict[str, Granted] = {}
    # What is there comes first, and in one order for everybody: its life is locked before the
    # agency, as its own steps do, so that nobody waits in a circle.
    declared = {wished.name: (index, wished) for index, wished in enumerate(file.hostings)}
    attachable = find_attachable(session, file)
    for name in sorted(declared.keys() | attachable):
        if name in attachable:
            hold(session, queries.get_hosting_for(session, actor, f"{file.agency}:{name}", _ASK))
        if name in declared:
            index, wished = declared[name]
            with _pointing_at(index):
                there = _look(session, actor, (file, wished), terms)
            if there is not None:
                granted[name] = there
    made = attach_running(session, actor, file)
    tenancy.lock_agency(session, agency.id)
    for index, wished in enumerate(file.hostings):
        if wished.name not in granted:
            with _pointing_at(index):
                granted[wished.name] = _create(session, actor, (file, wished), terms)
    hostings = [granted[wished.name] for wished in file.hostings]
    return Applied(hostings, list_joined(session, file, made))


def apply_wishes(session: Session, actor: Actor, file: TenantFile, terms: Terms) -> Applied:
    """Ask for all that is declared and isn't so: to be made, to be otherwise, to end, attached.

    All of it or nothing; applied again it asks for nothing, but for attachments of what runs only
    now. Raises: what `submit_create`, `submit_change`, `submit_end` and `attach` do, and
    HostingDiffers.
    """
    applied = plan_wishes(session, actor, file, terms)
    for index, one in enumerate(applied.hostings):
        if one.verdict == WishVerdict.DIFFERS and one.hosting is not None:
            fields = ", ".join(difference.field for difference in one.differences)
            with _pointing_at(index):
                raise HostingDiffers(name=one.wished.name, fields=fields, hosting=one.hosting.id)
    refuse_differing(file, applied.attachments)
    return applied


def _look(
    session: Session, actor: Actor, wish: tuple[TenantFile, WishedHosting], terms: Terms
) -> Granted | None:
    """Ask for what is there to end, or to be otherwise; None if it has to be made."""
    file, wished = wish
    if wished.state == "ended":
        return _end(session, actor, wish, terms)
    present = queries.find_hosting(session, f"{file.agency}:{wished.name}")
    if present is None or present.status in GONE:
        return None
    before = HostingStatus(present.status)
    differences = tuple(_compare(session, present, wish, terms))
    if not differences or _is_asked_for(session, present, differences):
        return Granted(wished, WishVerdict.UNCHANGED, present, before)
    if not {difference.field for difference in differences} <= CHANGEABLE:
        return Granted(wished, WishVerdict.DIFFERS, present, before, differences=differences)
    change = Change(
        present.id,
        size=wished.size,
        title=wished.title,
        inputs=wished.inputs,
        reason=file.reason,
    )
    try:
        request = submit_change(session, actor, change, terms)
    except (NotChangeable, RequestOpen):
        return Granted(wished, WishVerdict.DIFFERS, present, before, differences=differences)
    return Granted(wished, WishVerdict.CHANGE, present, before, request, differences)


def _is_asked_for(session: Session, present: Hosting, differences: tuple[Difference, ...]) -> bool:
    """Whether an open request changes it to exactly what is wished."""
    request = queries.find_open_request(session, present.id, RequestKind.CHANGE)
    if request is None:
        return False
    body = queries.get_plan(session, request).body
    return all(body.get(one.field) == one.wished for one in differences)


def _end(
    session: Session, actor: Actor, wish: tuple[TenantFile, WishedHosting], terms: Terms
) -> Granted:
    file, wished = wish
    reference = f"{file.agency}:{wished.name}"
    present = queries.find_hosting(session, reference)
    if present is None:
        return Granted(wished, WishVerdict.UNCHANGED, None, None)
    before = HostingStatus(present.status)
    if before in _OVER:
        return Granted(wished, WishVerdict.UNCHANGED, present, before)
    try:
        request = submit_end(session, actor, reference, file.reason or "state: ended", terms)
    except RequestOpen:  # it was asked for and waits for its decision
        return Granted(wished, WishVerdict.UNCHANGED, present, before)
    return Granted(wished, WishVerdict.END, present, before, request)


def _create(
    session: Session, actor: Actor, wish: tuple[TenantFile, WishedHosting], terms: Terms
) -> Granted:
    file, wished = wish
    new = NewHosting(
        agency=file.agency,
        name=wished.name,
        blueprint=wished.blueprint,
        size=wished.size,
        inputs=wished.inputs,
        title=wished.title,
        region=file.region,
        tenant=file.tenant,
        hostname=wished.hostname,
        reason=file.reason,
    )
    request = submit_create(session, actor, new, terms)
    made = queries.get_hosting(session, request.hosting_id)
    return Granted(wished, WishVerdict.CREATE, made, None, request)


def _compare(
    session: Session, present: Hosting, wish: tuple[TenantFile, WishedHosting], terms: Terms
) -> list[Difference]:
    file, wished = wish
    place = queries.placement_of(session, present)
    blueprint = blueprints.get_blueprint(session, present.blueprint_version_id)
    known = {
        "title": present.title,
        "blueprint": blueprint.name,
        "size": present.size,
        "hostname": place.hostname,
        "inputs": present.inputs,
        "tenant": place.tenant,
        "region": place.region,
        "status": present.status,
    }
    is_same_kind = wished.blueprint == blueprint.name
    declared = {
        **wished.model_dump(include={"title", "blueprint", "size"}),
        "hostname": parse_hostname(wished.hostname, terms.zone).ascii if wished.hostname else None,
        # Another blueprint's inputs can't be compared with those there are.
        "inputs": check_inputs(blueprint, wished.inputs) if is_same_kind else None,
        "tenant": file.tenant,
        "region": file.region,
        "status": HostingStatus.ACTIVE if present.status == HostingStatus.ENDING else None,
    }
    return list_differences(declared, known)


@contextmanager
def _pointing_at(index: int) -> Iterator[None]:
    """Say of a problem which part of the file it is about, as a JSON pointer (RFC 6901)."""
    try:
        yield
    except Problem as problem:
        problem.facts["pointer"] = _pointer_to(problem, index)
        raise


def _pointer_to(problem: Problem, index: int) -> str:
    of_file = _OF_THE_FILE.get(type(problem))
    if of_file is not None:
        return f"/{of_file}"
    if isinstance(problem, InputInvalid):
        return f"/hostings/{index}/inputs/{problem.facts['input']}"
    part = _OF_THE_HOSTING.get(type(problem), "name")
    return f"/hostings/{index}/{part}"

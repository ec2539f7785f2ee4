"""Why a package could not be fetched: what pip wrote down, in words that say what to do."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from control_plane.cli.exits import Code, Stop
from control_plane.cli.target import Target
from control_plane.cli.terminal import tr

_WISH = re.compile(
    r"(?:Could not find a version that satisfies the requirement|No matching distribution found"
    r" for) (?P<wish>[^(\n]+)"
)
_SKIPPED = re.compile(r"Skipping link: [^\n]*?: (?P<url>(?:https?|file):\S+)")
_OTHER_PYTHON = re.compile(
    r"Link requires a different Python [^\n]*?: (?P<url>(?:https?|file):\S+)"
)
_SILENT = re.compile(r"Could not fetch URL [^\n]*: connection error|Retrying \(Retry")
_CAUSES = re.compile(r"The conflict is caused by:(?P<told>.*?)To fix this", re.DOTALL)
_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\S+ ?", re.MULTILINE)  # of pip's log
_HASHES = "DO NOT MATCH THE HASHES"
_NO_HASH = "--require-hashes mode"
_CONFLICT = "ResolutionImpossible"
_SHOWN = 12  # lines of what pip said


@dataclass(frozen=True, slots=True)
class _Seen:
    """Files of one package that pip passed over."""

    wheels: list[str]
    sources: list[str]
    other_pythons: list[str]


def explain(log: str, errors: str, target: Target) -> Stop:
    """Return how a command ends whose pip failed, by its log and by what it said at its end."""
    if match := _WISH.search(errors):
        return _missing(match["wish"].strip(), log, target)
    if _HASHES in errors:
        mend = tr("Somebody replaced the file or the list: find out who before you lock again.")
        return _told("hash_mismatch", tr("A package is not what its hash names"), errors, mend)
    if _NO_HASH in errors:
        title = tr("Some packages of the list have a hash, and others have none")
        return _told("hash_missing", title, errors, tr("Lock all of them, or none."))
    if _CONFLICT in errors:
        causes = _CAUSES.search(_STAMP.sub("", log))
        told = causes["told"] if causes else errors
        mend = tr("Choose versions that fit each other.")
        return _told("requirements_conflict", tr("Packages contradict each other"), told, mend)
    mend = tr("What pip says tells more; deploy again once it is mended.")
    return _told("wheels_unfetched", tr("pip could not fetch the packages"), errors, mend)


def no_wheel(wish: str, target: Target, others: Sequence[str] = ()) -> Stop:
    """Return how a command ends that needs a wheel which nobody published."""
    if others:
        title = tr("{package} has no wheel for {target}", package=wish, target=target)
        reason = "wheel_missing"
    else:
        title = tr("{package} is published as source alone, not as a wheel", package=wish)
        reason = "wheel_source_only"
    return Stop(
        Code.REFUSED,
        reason,
        title,
        tr(
            "A server has no compiler and no way out, and building here would execute the package's"
            " code. Choose a version that has a wheel, or build one yourself on such a system"
            " (pip wheel --no-deps {package}) and put it into the folder wheels.",
            package=wish,
        ),
        package=wish,
        target=str(target),
        published=list(others)[:20],
    )


def _missing(wish: str, log: str, target: Target) -> Stop:
    seen = _seen_of(wish, log)
    if seen.wheels or (seen.sources and not seen.other_pythons):
        return no_wheel(wish, target, seen.wheels)
    if seen.other_pythons:
        return Stop(
            Code.REFUSED,
            "python_other",
            tr("{package} needs another Python than {target}", package=wish, target=target),
            tr("Choose an older or newer version of it; its page of the index says which."),
            package=wish,
            published=seen.other_pythons[:20],
        )
    if _SILENT.search(log):
        return Stop(
            Code.UNAVAILABLE,
            "index_unreachable",
            tr("The package index can't be reached"),
            tr("Check the network and pip's configuration (pip config list), and deploy again."),
            package=wish,
        )
    return Stop(
        Code.REFUSED,
        "package_unknown",
        tr("The index has no {package}", package=wish),
        tr("Check the name and the version, and which index pip asks (pip config list)."),
        package=wish,
    )


def _told(reason: str, title: str, said: str, mend: str) -> Stop:
    lines = [line.strip() for line in said.splitlines() if not line.startswith("WARNING: ")]
    errors = [{"where": "pip", "why": line.removeprefix("ERROR: ")} for line in lines if line]
    return Stop(Code.REFUSED, reason, title, mend, errors=errors[-_SHOWN:])


def _seen_of(wish: str, log: str) -> _Seen:
    try:
        requirement = Requirement(wish)
    except InvalidRequirement:
        return _Seen([], [], [])
    others = set(_files(_OTHER_PYTHON, log, requirement))
    files = set(_files(_SKIPPED, log, requirement)) - others
    wheels = sorted(name for name in files if name.endswith(".whl"))
    return _Seen(wheels, sorted(files - set(wheels)), sorted(others))


def _files(pattern: re.Pattern[str], log: str, wanted: Requirement) -> Iterator[str]:
    """Give the names of files that could have been of the wanted package and version."""
    for match in pattern.finditer(log):
        name = unquote(urlsplit(match["url"]).path.rpartition("/")[2])
        known = _name_and_version(name)
        if (
            known
            and known[0] == canonicalize_name(wanted.name)
            and _fits(known[1], wanted.specifier)
        ):
            yield name


def _fits(version: Version, specifier: SpecifierSet) -> bool:
    return specifier.contains(version, prereleases=True)


def _name_and_version(file: str) -> tuple[str, Version] | None:
    try:
        if file.endswith(".whl"):
            return parse_wheel_filename(file)[:2]
        return parse_sdist_filename(file)
    except (InvalidSdistFilename, InvalidWheelFilename):
        return None

"""What a folder says that its application needs: requirements.txt, pylock.toml or uv.lock.

What would make pip execute code of a package on this machine, or what no index has, is refused.
"""

import hashlib
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from packaging.markers import Environment
from packaging.pylock import (
    Package,
    PackageDirectory,
    PackageSdist,
    PackageWheel,
    Pylock,
    PylockSelectError,
    PylockUnsupportedVersionError,
    PylockValidationError,
)
from packaging.requirements import InvalidRequirement, Requirement

from control_plane.cli.exits import Code, Stop
from control_plane.cli.target import Target
from control_plane.cli.terminal import tr
from control_plane.cli.unfetched import no_wheel

SOURCES = ("requirements.txt", "pylock.toml", "uv.lock")  # the first that is there counts
_COMMENT = re.compile(r"(^|\s+)#.*$")
_INCLUDES = re.compile(r"(?:-r|-c|--requirement|--constraint)(?:\s+|=)(?P<file>\S.*)")
_EDITABLE = re.compile(r"(?:-e|--editable)\b")
_SOURCE_WANTED = re.compile(r"--no-binary\b")
_EXPORT = ("export", "--quiet", "--frozen", "--no-default-groups", "--no-emit-project")
_EXPORT_FORM = ("--format", "requirements.txt", "--no-header", "--no-annotate")
_UNUSABLE = (
    tomllib.TOMLDecodeError,
    PylockSelectError,
    PylockUnsupportedVersionError,
    PylockValidationError,
)
_SHOWN = 2000  # characters of what another program said


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: pip reads `file`, or `text` where it had to be made of a lock file."""

    source: str
    file: Path
    text: str | None
    digest: str  # of all that was read
    is_complete: bool  # a lock names every package, so that nothing is to be resolved


def find_asked(folder: Path, target: Target) -> Asked | None:
    """Return what a folder asks for, if it does. Raises: Stop."""
    source = next((name for name in SOURCES if (folder / name).is_file()), None)
    if source is None:
        return None
    file = folder / source
    if source == "requirements.txt":
        texts: dict[Path, str] = {}
        _read(file, texts)
        return Asked(source, file, None, _digest("\0".join(texts.values())), is_complete=False)
    text = _of_pylock(file, target) if source == "pylock.toml" else _of_uv(folder)
    _check(source, text)
    return Asked(source, file, text, _digest(text), is_complete=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(file: Path, texts: dict[Path, str]) -> None:
    """Read a list of requirements and those that it includes, each once. Raises: Stop."""
    texts[file] = _text(file)
    for name in _check(file.name, texts[file]):
        included = (file.parent / name).resolve()
        if included not in texts:
            _read(included, texts)


def _check(source: str, text: str) -> list[str]:
    """Return the files that a list includes. Raises: Stop with each line that can't be done."""
    included, errors = [], []
    for number, line in _logical_lines(text):
        if match := _INCLUDES.fullmatch(line):
            included.append(match["file"].strip())
        elif why := _refusal_of(line):
            errors.append({"where": f"{source}:{number}", "why": why})
    if errors:
        raise _refused(source, errors)
    return included


def _refused(source: str, errors: list[dict[str, str]]) -> Stop:
    return Stop(
        Code.REFUSED,
        "requirements_refused",
        tr("{file} asks for what a release can't carry", file=source),
        tr(
            "Name packages of an index, with versions. For a package of your own, build its wheel"
            " (pip wheel --no-deps), put it into the folder wheels, and name it like others."
        ),
        errors=errors,
    )


def _text(file: Path) -> str:
    """Return a file's text. Raises: Stop."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        why = error.strerror or str(error)
    except UnicodeDecodeError:
        why = tr("it is not UTF-8 text")
    raise Stop(
        Code.USAGE,
        "requirements_unreadable",
        tr("{file} can't be read: {why}", file=file, why=why),
    )


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Give lines without comments, continued ones as one, each with the number it begins at."""
    begun, kept = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        begun = begun or number
        kept += _COMMENT.sub("", line).strip() if not line.rstrip().endswith("\\") else ""
        if line.rstrip().endswith("\\"):
            kept += line.rstrip()[:-1].strip() + " "
            continue
        if kept.strip():
            yield begun, kept.strip()
        begun, kept = 0, ""
    if kept.strip():
        yield begun, kept.strip()


def _refusal_of(line: str) -> str | None:
    if _EDITABLE.match(line):
        return tr("an editable install belongs to your own machine")
    if _SOURCE_WANTED.match(line):
        return tr("packages are not built from source")
    if line.startswith("-"):
        return None  # an option, which pip knows or refuses
    wish = re.split(r"\s+--", line, maxsplit=1)[0]
    try:
        requirement = Requirement(wish)
    except InvalidRequirement:
        return tr("{wish} is no package of an index", wish=wish)
    if requirement.url and not urlsplit(requirement.url).path.endswith(".whl"):
        return tr("{wish} is not a wheel", wish=wish)
    return None


def _of_pylock(file: Path, target: Target) -> str:
    """Return a lock's packages for one platform, as requirements with hashes."""
    text = _text(file)
    try:
        lock = Pylock.from_dict(tomllib.loads(text))
        facts = cast("Environment", target.facts)
        chosen = list(lock.select(environment=facts, tags=target.tags))
    except _UNUSABLE as error:
        raise Stop(
            Code.REFUSED,
            "lock_unusable",
            tr(
                "{file} can't be used for {target}: {why}", file=file.name, target=target, why=error
            ),
            tr("Lock again with a tool that writes pylock.toml, for this Python and platform."),
        ) from error
    return "".join(_line_of(package, found, target) for package, found in chosen)


def _line_of(package: Package, found: object, target: Target) -> str:
    if isinstance(found, PackageDirectory) and found.path in {".", "./"}:
        return ""  # the application itself: it is the release
    wish = f"{package.name}=={package.version}"
    if isinstance(found, PackageSdist):
        raise no_wheel(wish, target, [wheel.filename for wheel in package.wheels or ()])
    if not isinstance(found, PackageWheel):
        why = tr("{wish} is no package of an index", wish=package.name)
        raise _refused("pylock.toml", [{"where": package.name, "why": why}])
    hashes = " ".join(f"--hash={name}:{value}" for name, value in sorted(found.hashes.items()))
    return f"{wish} {hashes}\n"


def _of_uv(folder: Path) -> str:
    """Return a lock of uv as requirements with hashes; nothing in the folder is changed."""
    program = shutil.which("uv")
    if program is None:
        raise Stop(
            Code.REFUSED,
            "uv_missing",
            tr("uv.lock is there, and the program uv, which reads it, is not"),
            tr(
                "Install uv, or keep a list beside it that needs no uv:"
                " `uv export --no-dev --no-emit-project -o requirements.txt`."
            ),
        )
    done = subprocess.run(
        [program, *_EXPORT, *_EXPORT_FORM], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Stop(
            Code.REFUSED,
            "lock_unusable",
            tr("uv can't read {file}", file="uv.lock"),
            done.stderr.strip()[-_SHOWN:],
        )
    return done.stdout

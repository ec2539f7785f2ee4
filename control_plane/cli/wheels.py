"""The wheels that a release carries: chosen for the server's platform, fetched once, pinned.

A server has no way out, so that what an application needs comes with its release, under `wheels/`.
What was fetched for a list of requirements is kept in the person's cache, by the list's content.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from packaging.utils import parse_wheel_filename

from control_plane.cli.exits import Code, Stop
from control_plane.cli.fetching import fetch
from control_plane.cli.requirements import Asked, find_asked
from control_plane.cli.target import Target, is_wheel
from control_plane.cli.terminal import note, tr
from control_plane.kit import clock

FOLDER, LIST = "wheels", "requirements.txt"
SETS_KEPT = 30


@dataclass(frozen=True, slots=True)
class Wheel:
    """One file, by its name and content."""

    name: str
    digest: str

    @property
    def pinned(self) -> str:
        """The line that lets nothing else be installed."""
        project, version, _, _ = parse_wheel_filename(self.name)
        return f"{project}=={version} --hash=sha256:{self.digest}\n"


def gather(folder: Path, target: Target, *, anew: bool) -> dict[str, Path]:
    """Return what a release gets under `wheels/`, by path; the folder stays as it is.

    Nothing is fetched if the same list was fetched before, unless `anew`. Raises: Stop.
    """
    by_hand = _by_hand(folder, target)
    asked = find_asked(folder, target)
    if asked is None:
        if not by_hand:
            return {}
        _refuse_doubles([wheel.name for wheel in by_hand])
        places = {wheel.name: folder / FOLDER / wheel.name for wheel in by_hand}
        return _paths(Cache.of_person(), by_hand, places)
    cache = Cache.of_person()
    key = _key(asked, target, by_hand)
    found = None if anew else cache.find(key)
    if found is None:
        found = _fetched(cache, key, folder, asked, target)
    places = {wheel.name: cache.place(wheel) for wheel in found}
    return _paths(cache, found, places)


def _fetched(cache: "Cache", key: str, folder: Path, asked: Asked, target: Target) -> list[Wheel]:
    note(tr("Fetching what {file} asks for: {target} …", file=asked.source, target=target))
    with tempfile.TemporaryDirectory(dir=cache.root) as new:
        own = folder / FOLDER
        fetch(asked, target, Path(new), own if own.is_dir() else None)
        return cache.keep(key, sorted(Path(new).glob("*.whl")))


def _key(asked: Asked, target: Target, by_hand: Sequence[Wheel]) -> str:
    said = [asked.source, asked.digest, str(target), [asdict(wheel) for wheel in by_hand]]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _paths(cache: "Cache", wheels: Sequence[Wheel], places: Mapping[str, Path]) -> dict[str, Path]:
    pinned = cache.write_list("".join(sorted(wheel.pinned for wheel in wheels)))
    return {
        f"{FOLDER}/{LIST}": pinned,
        **{f"{FOLDER}/{name}": place for name, place in places.items()},
    }


def _by_hand(folder: Path, target: Target) -> list[Wheel]:
    """Return the wheels that somebody put into the folder. Raises: Stop, naming each other one."""
    own = folder / FOLDER
    found = sorted(own.iterdir()) if own.is_dir() else []
    files = [file for file in found if file.name != LIST and not file.name.startswith(".")]
    errors = [
        {"where": f"{FOLDER}/{file.name}", "why": why}
        for file in files
        if (why := _refusal_of(file, target))
    ]
    if errors:
        raise Stop(
            Code.REFUSED,
            "wheels_refused",
            tr("Some files in the folder wheels can't be used on the server"),
            tr("Remove them, or replace them with wheels for {target}.", target=target),
            errors=errors,
        )
    return [Wheel(file.name, _digest(file)) for file in files]


def _refusal_of(file: Path, target: Target) -> str | None:
    if not file.is_file() or not is_wheel(file.name):
        return tr("it is no wheel")
    return None if target.takes(file.name) else tr("it is for another Python or platform")


def _refuse_doubles(names: Sequence[str]) -> None:
    """Without a list each package may be there once."""
    projects = [parse_wheel_filename(name)[0] for name in names]
    doubled = {project for project in projects if projects.count(project) > 1}
    if doubled:
        raise Stop(
            Code.REFUSED,
            "wheels_doubled",
            tr(
                "The folder wheels has several files of {package}",
                package=", ".join(sorted(doubled)),
            ),
            tr("Keep one of each, or add a requirements.txt that says which."),
        )


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Cache:
    """Wheels by content, and which of them a list of requirements came to."""

    root: Path

    @classmethod
    def of_person(cls) -> "Cache":
        """Return the cache of whoever runs the command."""
        above = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        cache = cls(Path(above) / "edubba" / FOLDER)
        for name in ("files", "lists", "sets"):
            (cache.root / name).mkdir(parents=True, exist_ok=True)
        return cache

    def place(self, wheel: Wheel) -> Path:
        """Where a wheel's content lies."""
        return self.root / "files" / wheel.digest

    def find(self, key: str) -> list[Wheel] | None:
        """Return what was fetched for this before, if all of it is there and whole."""
        try:
            known = json.loads((self.root / "sets" / f"{key}.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        found = [Wheel(**one) for one in known["wheels"]]
        if not all(self.place(w).is_file() and _digest(self.place(w)) == w.digest for w in found):
            return None
        day = datetime.fromisoformat(known["at"]).astimezone(UTC).date()
        note(
            tr(
                "{count} packages as fetched on {day}; --renew-wheels asks the index again",
                count=len(found),
                day=day,
            )
        )
        return found

    def keep(self, key: str, files: Sequence[Path]) -> list[Wheel]:
        """Keep what was fetched, and forget what is old."""
        wheels = [Wheel(file.name, _digest(file)) for file in files]
        for wheel, file in zip(wheels, files, strict=True):
            file.replace(self.place(wheel))
        known = {"at": clock.now().isoformat(), "wheels": [asdict(wheel) for wheel in wheels]}
        self._write(self.root / "sets" / f"{key}.json", json.dumps(known))
        self._forget()
        return wheels

    def write_list(self, text: str) -> Path:
        """Return a file with this content."""
        place = self.root / "lists" / f"{hashlib.sha256(text.encode()).hexdigest()}.txt"
        if not place.is_file():
            self._write(place, text)
        return place

    def _write(self, place: Path, text: str) -> None:
        handle, new = tempfile.mkstemp(dir=self.root)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(new).replace(place)

    def _forget(self) -> None:
        """Forget all but the newest lists, and what none of those needs."""
        for name in ("sets", "lists"):
            known = sorted((self.root / name).iterdir(), key=lambda path: path.stat().st_mtime)
            for old in known[:-SETS_KEPT]:
                old.unlink(missing_ok=True)
        needed = {
            one["digest"]
            for path in (self.root / "sets").iterdir()
            for one in json.loads(path.read_text(encoding="utf-8"))["wheels"]
        }
        for file in (self.root / "files").iterdir():
            if file.name not in needed:
                file.unlink(missing_ok=True)

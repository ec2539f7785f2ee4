"""A folder as a list of files: what is in it, refused where it could mean something else.

Everything that the platform would refuse is found before a byte is sent: names, links that leave
the folder, devices and pipes, too many files, too many bytes.
"""

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from control_plane.ports.cloud.port import ReleaseFile
from control_plane.releases.rules import (
    MAX_FILES,
    MAX_RELEASE_BYTES,
    Manifest,
    ReleaseTooLarge,
    TooManyFiles,
    check_manifest,
)
from control_plane.releases.rules.manifest import Offence, check_path, refusal

# Histories and leftovers of tools: never content, and published by mistake again and again.
LEFT_OUT = frozenset({".git", ".hg", ".svn", ".DS_Store", "Thumbs.db", "__pycache__"})
VENV = "pyvenv.cfg"  # a virtual environment works where it was made, and nowhere else
PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """A file of the folder: the path in the release, where it is, and how large."""

    path: str
    place: Path
    size: int
    mode: int


@dataclass(frozen=True, slots=True)
class Folder:
    """What a folder comes to: its manifest, where each content lies, what was left out."""

    manifest: Manifest
    places: dict[str, Path]
    left_out: tuple[str, ...]


def read_folder(root: Path, threads: int, instead: Mapping[str, Path] | None = None) -> Folder:
    """Walk a folder, check it and hash its files. Raises: Problem, with every path and reason.

    `instead` are files from elsewhere, by their paths in the release; what the folder has beside
    them in the same folders is not part of it.
    """
    others = dict(instead or {})
    walk = _Walk(root.resolve(strict=True), frozenset(path.rpartition("/")[0] for path in others))
    found = list(walk.files(walk.root, "", (walk.root,)))
    found += [Found(path, place, place.stat().st_size, 0o644) for path, place in others.items()]
    if len(found) > MAX_FILES:
        raise TooManyFiles(count=len(found), limit=MAX_FILES)
    total = sum(file.size for file in found)
    if total > MAX_RELEASE_BYTES:
        raise ReleaseTooLarge(count=total, limit=MAX_RELEASE_BYTES)
    offences = [*walk.offences, *_bad_names(found)]
    if offences:
        raise refusal(offences)
    digests = _hash_all(found, threads)
    files = [
        ReleaseFile(file.path, digest, size, file.mode)
        for file, (digest, size) in zip(found, digests, strict=True)
    ]
    places = {f.digest: file.place for f, file in zip(files, found, strict=True)}
    return Folder(check_manifest(files), places, tuple(walk.left_out))


class _Walk:
    def __init__(self, root: Path, replaced: frozenset[str]) -> None:
        self.root, self._replaced = root, replaced
        self.offences: list[Offence] = []
        self.left_out: list[str] = []

    def files(self, folder: Path, prefix: str, above: Sequence[Path]) -> Iterator[Found]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            self.offences.append(Offence(prefix.rstrip("/") or ".", "unreadable"))
            return
        for entry in entries:
            path = unicodedata.normalize("NFC", f"{prefix}{entry.name}")
            if path in self._replaced:
                continue
            if entry.name in LEFT_OUT or _is_environment(entry):
                self.left_out.append(path)
                continue
            yield from self._entry(entry, path, above)

    def _entry(self, entry: os.DirEntry[str], path: str, above: Sequence[Path]) -> Iterator[Found]:
        place = Path(entry.path)
        try:
            if entry.is_symlink():
                place = self._target(place)
            known = place.stat()
        except (OSError, RuntimeError):
            self.offences.append(Offence(path, "link" if entry.is_symlink() else "unreadable"))
            return
        if stat.S_ISDIR(known.st_mode):
            if entry.is_symlink() and place in above:  # it would never end
                self.offences.append(Offence(path, "link"))
                return
            yield from self.files(place, f"{path}/", (*above, place))
        elif stat.S_ISREG(known.st_mode):
            mode = 0o755 if known.st_mode & stat.S_IXUSR else 0o644
            yield Found(path, place, known.st_size, mode)
        else:
            self.offences.append(Offence(path, "device"))

    def _target(self, link: Path) -> Path:
        target = link.resolve(strict=True)
        if not target.is_relative_to(self.root):
            raise OSError
        return target


def _bad_names(found: Sequence[Found]) -> Iterator[Offence]:
    for file in found:
        reason = check_path(file.path)
        if reason is not None:
            yield Offence(file.path, reason)


def _hash_all(found: Sequence[Found], threads: int) -> list[tuple[str, int]]:
    with ThreadPoolExecutor(threads) as pool:
        hashed = list(pool.map(_hash, found))
    unread = [
        Offence(file.path, "unreadable")
        for file, known in zip(found, hashed, strict=True)
        if known is None
    ]
    if unread:
        raise refusal(unread)
    return [known for known in hashed if known is not None]


def _hash(file: Found) -> tuple[str, int] | None:
    # What is read counts, not what the walk saw: a site may be written to meanwhile.
    hasher, size = hashlib.sha256(), 0
    try:
        with file.place.open("rb") as stream:
            while piece := stream.read(PIECE):
                hasher.update(piece)
                size += len(piece)
    except OSError:
        return None
    return hasher.hexdigest(), size


def _is_environment(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False) and Path(entry.path, VENV).is_file()

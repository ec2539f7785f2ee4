"""The list of files that is a release: what may stand in it, and its one canonical form.

A manifest is checked as a whole before anything is stored, and again by the client before anything
is sent. Its paths must mean one file each on any file system that a tenant may have.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from control_plane.ports.cloud.port import ReleaseFile
from control_plane.ports.edge.port import NONCE_PATH
from control_plane.releases.rules.problems import ManifestRefused, ReleaseTooLarge, TooManyFiles

FORMAT = "edubba-manifest-1"
MAX_FILES = 100_000
MAX_RELEASE_BYTES = 4 << 30
MAX_PATH_BYTES = 1024
MAX_SEGMENT_BYTES = 255  # NAME_MAX of Linux file systems
MAX_DEPTH = 32
MODES = frozenset({0o644, 0o755})
OFFENCES_LISTED = 20
DIGEST = re.compile(r"[0-9a-f]{64}")

# Below this the platform itself answers: a file there could pretend to be another deployment.
RESERVED = NONCE_PATH.lstrip("/").rsplit("/", 1)[0]
# Marks that turn the direction of what follows make a name look like another one.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

REASONS = {
    "absolute": "the path is absolute",
    "backslash": "the path contains a backslash",
    "collides": "the name differs from another one only in case or Unicode form",
    "control": "the path contains a control character",
    "deep": "the path has too many folders",
    "digest": "the digest isn't 64 hexadecimal digits in lower case",
    "doubled": "the path is listed twice",
    "empty": "the path is empty or has an empty part",
    "file_and_folder": "the name is a file and a folder at once",
    "form": "the path isn't in Unicode's form NFC",
    "long": "the path or one of its parts is too long",
    "mode": "only the modes 0644 and 0755 are allowed",
    "outside": "the path leaves the release",
    "reserved": "the platform itself serves this path",
    "size": "the size is negative, or differs from that of the same content elsewhere",
    "text": "the path isn't valid Unicode",
    # Found by clients while they walk a folder:
    "device": "it is a device, a socket or a pipe",
    "link": "the link leads out of the folder, or nowhere",
    "unreadable": "it can't be read",
}


@dataclass(frozen=True, slots=True)
class Offence:
    """One path that can't be accepted; `reason` is a key of REASONS."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A checked list of files in canonical order, with the digest that names the release."""

    files: tuple[ReleaseFile, ...]
    digest: str

    @property
    def total_bytes(self) -> int:
        """The bytes of all files together."""
        return sum(file.size for file in self.files)

    def digests(self) -> frozenset[str]:
        """The content that the release needs, each once."""
        return frozenset(file.digest for file in self.files)


def check_manifest(files: Sequence[ReleaseFile], max_bytes: int = MAX_RELEASE_BYTES) -> Manifest:
    """Check everything about a list of files but whether their content is there.

    Raises TooManyFiles, ReleaseTooLarge, or ManifestRefused with the offences found.
    """
    if len(files) > MAX_FILES:
        raise TooManyFiles(count=len(files), limit=MAX_FILES)
    offences = list(_find_offences(files))
    if offences:
        raise refusal(offences)
    total = sum(file.size for file in files)
    if total > max_bytes:
        raise ReleaseTooLarge(count=total, limit=max_bytes)
    ordered = tuple(sorted(files, key=_by_path))
    return Manifest(ordered, hashlib.sha256(_encode(ordered)).hexdigest())


def refusal(offences: Sequence[Offence]) -> ManifestRefused:
    """Return the problem that lists these offences, the first twenty of them."""
    listed = [
        {"path": printable(offence.path), "reason": offence.reason}
        for offence in offences[:OFFENCES_LISTED]
    ]
    return ManifestRefused(count=len(offences), offences=listed)


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the canonical form, whose SHA-256 is the manifest's digest."""
    return _encode(manifest.files)


def decode_manifest(encoded: bytes) -> Manifest:
    """Read what `encode_manifest` wrote. Raises ValueError on anything else."""
    document = cast("dict[str, Any]", json.loads(encoded))
    if document.get("format") != FORMAT:
        msg = f"not a manifest of format {FORMAT}"
        raise ValueError(msg)
    files = tuple(
        ReleaseFile(file["path"], file["digest"], file["size"], int(file["mode"], 8))
        for file in document["files"]
    )
    return Manifest(files, hashlib.sha256(encoded).hexdigest())


def check_path(path: str) -> str | None:
    """Return what is wrong with one path (a key of REASONS), or None."""
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        return "text"
    segments = path.split("/")
    findings = {
        "absolute": path.startswith("/"),
        "backslash": "\\" in path,
        "control": any(_is_control(character) for character in path),
        "empty": not all(segments),
        "outside": ".." in segments or "." in segments,
        "form": unicodedata.normalize("NFC", path) != path,
        "deep": len(segments) > MAX_DEPTH,
        "long": len(encoded) > MAX_PATH_BYTES
        or any(len(segment.encode()) > MAX_SEGMENT_BYTES for segment in segments),
        "reserved": f"{_folded(path)}/".startswith(f"{RESERVED}/"),
    }
    return next((reason for reason, is_found in findings.items() if is_found), None)


def printable(path: str) -> str:
    """Return the path with control characters and broken text shown as escapes, at most 200."""
    shown = "".join(
        character.encode("unicode_escape").decode()
        if _is_control(character) or "\ud800" <= character <= "\udfff"
        else character
        for character in path
    )
    return shown if len(shown) <= 200 else f"{shown[:199]}…"  # noqa: PLR2004  # fits a terminal


def _find_offences(files: Sequence[ReleaseFile]) -> Iterator[Offence]:
    if not files:
        yield Offence("", "empty")
    sizes: dict[str, int] = {}
    sound = []
    for file in files:
        reason = check_path(file.path) or _check_file(file, sizes)
        if reason is None:
            sound.append(file.path)
        else:
            yield Offence(file.path, reason)
    yield from _find_collisions(sound)


def _check_file(file: ReleaseFile, sizes: dict[str, int]) -> str | None:
    if DIGEST.fullmatch(file.digest) is None:
        return "digest"
    if file.mode not in MODES:
        return "mode"
    if file.size < 0 or sizes.setdefault(file.digest, file.size) != file.size:
        return "size"
    return None


def _find_collisions(paths: Sequence[str]) -> Iterator[Offence]:
    files: dict[str, str] = {}
    for path in paths:
        if files.setdefault(_folded(path), path) != path:
            yield Offence(path, "collides")
    seen: set[str] = set()
    folders: dict[str, str] = {}
    for path in paths:
        if path in seen:
            yield Offence(path, "doubled")
        seen.add(path)
        yield from _find_folder_collisions(path, files, folders)


def _find_folder_collisions(
    path: str, files: dict[str, str], folders: dict[str, str]
) -> Iterator[Offence]:
    end = path.find("/")
    while end != -1:
        folder = path[:end]
        folded = _folded(folder)
        if folded in files:
            yield Offence(path, "file_and_folder")
            return
        if folders.setdefault(folded, folder) != folder:
            yield Offence(path, "collides")
            return
        end = path.find("/", end + 1)


def _folded(path: str) -> str:
    # Unicode's caseless compatibility matching (definition D146), which case-preserving and
    # normalising file systems stay within.
    once = unicodedata.normalize("NFKC", path).casefold()
    return unicodedata.normalize("NFKC", once).casefold()


def _is_control(character: str) -> bool:
    return character in _TURNING or unicodedata.category(character) in {"Cc", "Zl", "Zp"}


def _by_path(file: ReleaseFile) -> bytes:
    return file.path.encode()


def _encode(files: Sequence[ReleaseFile]) -> bytes:
    document = {
        "files": [
            {"digest": f.digest, "mode": f"{f.mode:04o}", "path": f.path, "size": f.size}
            for f in files
        ],
        "format": FORMAT,
    }
    # Only texts and integers are in it, so that this is RFC 8785's form.
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()

"""The ledger's checkpoints that this person has seen: one file each, never changed, never removed.

They are what the platform can't take back: an entry altered, removed or moved after a checkpoint
was seen no longer fits it. The log's public key is kept when it is first seen, and a change of it
is told. Kept per platform, as is a session's token.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from control_plane.cli import credentials
from control_plane.cli.client import Client
from control_plane.cli.exits import Code, Stop
from control_plane.cli.terminal import note as tell
from control_plane.cli.terminal import tr
from control_plane.ledger.note import Checkpoint, NoteInvalid, VerifierKey, open_checkpoint
from control_plane.ledger.receipts import has_grown

_NOTE = re.compile(r"(\d+)-[0-9a-f]{16}\.note")


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest checkpoint of the platform, proved to add only to those held before."""

    note: str
    checkpoint: Checkpoint
    vkey: str
    is_first: bool


class Held:
    """What is kept of one platform's log."""

    def __init__(self, url: str) -> None:
        self.folder = credentials.state_dir() / "ledger" / credentials.slot_of(url)
        self.url = url

    def find_vkey(self) -> str | None:
        """Return the log's public key, if it was ever seen."""
        try:
            return (self.folder / "vkey").read_text(encoding="utf-8").strip() or None
        except FileNotFoundError:
            return None

    def keep_vkey(self, vkey: str) -> None:
        """Keep the key that is seen first. Raises: Stop for another one."""
        known = self.find_vkey()
        if known is None:
            self._write("platform", f"{self.url}\n")
            self._write("vkey", f"{vkey}\n")
        elif known != vkey:
            raise Stop(
                Code.NOT_VERIFIED,
                "ledger_key_changed",
                tr("The ledger of {url} has another key than before", url=self.url),
                tr(
                    "Ask the data centre why, and believe neither until then. If the platform was"
                    " installed anew, move {folder} away.",
                    folder=self.folder,
                ),
                known=known,
                shown=vkey,
            )

    def list_notes(self) -> list[str]:
        """Return all checkpoints held, the smallest tree first."""
        if not self.folder.is_dir():
            return []
        found = [(_NOTE.fullmatch(path.name), path) for path in self.folder.iterdir()]
        sized = [(int(match[1]), path) for match, path in found if match]
        return [path.read_text(encoding="utf-8") for _, path in sorted(sized)]

    def find_newest(self) -> str | None:
        """Return the checkpoint of the largest tree held."""
        return next(reversed(self.list_notes()), None)

    def keep(self, note: str, vkey: str) -> Path:
        """Keep a checkpoint. Raises: Stop if it isn't the log's, or contradicts one held."""
        checkpoint = opened(note, vkey)
        for other in self.folder.glob(f"{checkpoint.size:012}-*.note"):
            if opened(other.read_text(encoding="utf-8"), vkey).root != checkpoint.root:
                self._write(_name_of(note, checkpoint), note)  # both are evidence
                raise _forked(checkpoint.size, self.folder)
        return self._write(_name_of(note, checkpoint), note)

    def _write(self, name: str, text: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / name
        if not path.exists():
            credentials.write_private(path, text)
        return path


def see(client: Client, held: Held) -> Seen | None:
    """Look at the newest checkpoint, have its growth from those held proved, and keep it.

    None: nothing was signed yet. Raises: Stop if it does not continue what is held.
    """
    try:
        shown = client.get("/v1/ledger/checkpoints/latest")
    except Stop as stop:
        if stop.reason == "ledger_checkpoint_unknown" and held.find_newest() is None:
            return None
        raise
    vkey, before = str(shown["vkey"]), held.find_newest()
    held.keep_vkey(vkey)
    note = prove_growth(client, before, vkey) if before is not None else str(shown["note"])
    held.keep(note, vkey)
    return Seen(note, opened(note, vkey), vkey, before is None)


def prove_growth(client: Client, before: str, vkey: str) -> str:
    """Return the newest checkpoint, proved to add only to `before`. Raises: Stop if it doesn't."""
    size = opened(before, vkey).size
    try:
        proof = client.get(f"/v1/ledger/checkpoints/{size}/proof")
    except Stop as stop:
        if stop.reason != "ledger_checkpoint_unknown":
            raise
        raise _not_continued(size, stop.title) from stop
    note = str(proof["note"])
    try:
        is_grown = has_grown(before, note, proof["proof"], vkey)
    except (NoteInvalid, ValueError) as broken:
        raise _not_continued(size, str(broken)) from broken
    if not is_grown:
        raise _not_continued(size, "")
    return note


def note_checkpoint(client: Client) -> Stop | None:
    """Keep the platform's newest checkpoint in passing; tell, and return, what is wrong with it."""
    try:
        see(client, Held(client.url))
    except Stop as stop:
        tell(f"! {stop.title}")
        if stop.mend:
            tell(f"  {stop.mend}")
        return stop
    return None


def opened(note: str, vkey: str) -> Checkpoint:
    """Return what a checkpoint says. Raises: Stop if the key did not sign it."""
    try:
        return open_checkpoint(note, VerifierKey.parse(vkey))
    except NoteInvalid as broken:
        raise Stop(
            Code.NOT_VERIFIED,
            "ledger_checkpoint_invalid",
            tr("A checkpoint is not signed by the ledger's key"),
            tr("Check the key. If it is right, keep the checkpoint and tell others: it is proof."),
            why=str(broken),
            note=note,
        ) from broken


def _name_of(note: str, checkpoint: Checkpoint) -> str:
    return f"{checkpoint.size:012}-{hashlib.sha256(note.encode()).hexdigest()[:16]}.note"


def _not_continued(size: int, why: str) -> Stop:
    return Stop(
        Code.NOT_VERIFIED,
        "ledger_not_continued",
        tr(
            "The ledger does not continue the checkpoint of {size} entries that you hold", size=size
        ),
        tr("Something before it was altered or removed. Keep what you hold, and tell others."),
        size=size,
        why=why,
    )


def _forked(size: int, folder: Path) -> Stop:
    return Stop(
        Code.NOT_VERIFIED,
        "ledger_forked",
        tr("The ledger's key signed two histories of {size} entries", size=size),
        tr("Both are kept in {folder}. Tell others: it is proof.", folder=folder),
        size=size,
    )

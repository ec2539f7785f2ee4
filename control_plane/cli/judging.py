"""Exports and receipts of the ledger, judged from a file, and what no judgement can show."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from control_plane.cli.checkpoints import Held, opened
from control_plane.cli.exits import Code, Stop
from control_plane.cli.terminal import answer, rows, say, tr
from control_plane.ledger.receipts import ReceiptInvalid, verify_receipt
from control_plane.ledger.verifier import Fault, Report, verify

FAULTS = {
    Fault.MALFORMED: "A line is not what the format allows",
    Fault.EDITED: "An entry is not what was signed",
    Fault.MISSING: "Entries are not there",
    Fault.MISPLACED: "Something stands where it does not belong",
    Fault.UNCOVERED: "No signed checkpoint covers these entries",
    Fault.UNEXPLAINED: "Content is gone, and no entry says why",
    Fault.TRUNCATED: "The end is not there",
    Fault.UNSIGNED: "A checkpoint is not signed by the ledger's key",
    Fault.FORKED: "The ledger's key signed two histories",
}
ALWAYS_HIDDEN = (
    "An entry that was altered before its first checkpoint was signed (about a second).",
    "A second history signed with the ledger's own key, as long as nobody compares checkpoints.",
)
HIDDEN_WITHOUT_CHECKPOINT = (
    "Newest entries cut off together with their checkpoints: no checkpoint was held to miss them."
)
HIDDEN_WITHOUT_KEY = (
    "Whose ledger this is: the key was taken from the file itself. Give it with --key."
)


@dataclass(frozen=True, slots=True)
class Means:
    """What a file is judged with."""

    vkey: str
    is_from_file: bool
    notes: tuple[str, ...]  # checkpoints held, the smallest tree first

    @property
    def hidden(self) -> list[str]:
        """What can't be shown with these."""
        said = list(ALWAYS_HIDDEN)
        if not self.notes:
            said.append(HIDDEN_WITHOUT_CHECKPOINT)
        if self.is_from_file:
            said.append(HIDDEN_WITHOUT_KEY)
        return said


def judge_file(file: Path, held: Held, key: str | None, notes: list[str]) -> None:
    """Judge an export or a receipt and answer. Raises: Stop; typer.Exit for an export not whole."""
    first = _first_line(file)
    if first.get("format", "").startswith("edubba-ledger-receipt/"):
        _judge_receipt(file, _means(held, key, notes, None))
        return
    means = _means(held, key, notes, str(first.get("vkey") or ""))
    report = _verified(file, means)
    if report.is_whole and means.vkey == held.find_vkey():
        for note in [*notes, *([report.newest] if report.newest else [])]:
            held.keep(note, means.vkey)
    answer(_document(report, means), lambda: _show(report, means))
    if not report.is_whole:
        raise typer.Exit(int(Code.NOT_VERIFIED))


def _means(held: Held, key: str | None, notes: list[str], in_file: str | None) -> Means:
    kept = held.find_vkey()
    vkey = key or kept or in_file
    if not vkey:
        raise Stop(
            Code.USAGE,
            "ledger_key_missing",
            tr("With which key is it to be judged?"),
            tr("Give the ledger's public key with --key; `edubba ledger checkpoint` shows it."),
        )
    # What is kept of this platform says nothing about a log with another key.
    own = held.list_notes() if vkey == kept else []
    by_size = sorted([*own, *notes], key=lambda note: opened(note, vkey).size)
    return Means(vkey, key is None and kept is None, tuple(by_size))


def _verified(file: Path, means: Means) -> Report:
    with file.open("rb") as stream:
        newest = means.notes[-1] if means.notes else None
        return verify(stream, means.vkey, newest, means.notes[:-1])


def _first_line(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            found = json.loads(stream.readline(1 << 20))
    except OSError as error:
        raise Stop(
            Code.USAGE, "file_unreadable", tr("{file} can't be read", file=file), str(error)
        ) from error
    except ValueError:
        return {}  # the verifier says what is wrong with it
    return found if isinstance(found, dict) else {}


def _judge_receipt(file: Path, means: Means) -> None:
    try:
        receipt = verify_receipt(file.read_bytes(), means.vkey)
    except ReceiptInvalid as broken:
        raise Stop(
            Code.NOT_VERIFIED,
            "receipt_invalid",
            tr("The receipt proves nothing: {why}", why=str(broken)),
            tr("Check the key; a receipt that was changed is no receipt any more."),
        ) from broken
    leaf = receipt.leaf.model_dump()
    document = {
        "whole": True,
        "entry": leaf,
        "index": receipt.index,
        "payload": receipt.payload,
        "not_shown": [tr(message) for message in ALWAYS_HIDDEN],
    }

    def show() -> None:
        told = {name: leaf[name] for name in ("id", "action", "subject", "actor", "at")}
        say(
            tr(
                "✓ {id}: {action} of {subject} by {actor} at {at} is in the ledger, as signed.",
                **told,
            )
        )
        _show_hidden(list(ALWAYS_HIDDEN))

    answer(document, show)


def _document(report: Report, means: Means) -> dict[str, Any]:
    return {
        "whole": report.is_whole,
        "entries": report.entries,
        "redacted": report.redacted,
        "checkpoints": report.checkpoints,
        "held": len(means.notes),
        "vkey": means.vkey,
        "key_from_file": means.is_from_file,
        "first_bad_index": report.first_bad_index,
        "newest": report.newest,
        "findings": [
            {
                "fault": finding.fault.value,
                "what": tr(FAULTS[finding.fault]),
                "index": finding.index,
                "reason": finding.reason,
            }
            for finding in report.findings
        ],
        "not_shown": [tr(message) for message in means.hidden],
    }


def _show(report: Report, means: Means) -> None:
    known = {"entries": report.entries, "held": len(means.notes)}
    if report.is_whole:
        say(
            tr(
                "✓ The ledger is whole: {entries} entries as signed. Checkpoints held and compared:"
                " {held}.",
                **known,
            )
        )
    else:
        say(tr("✗ The ledger is not what was signed. Change nothing, keep this file, tell others."))
        rows(("What", "Entry", "Why"), _findings(report))
    _show_hidden(means.hidden)


def _findings(report: Report) -> Iterator[list[object]]:
    for finding in report.findings:
        yield [tr(FAULTS[finding.fault]), finding.index, finding.reason]


def _show_hidden(messages: list[str]) -> None:
    say(tr("What this can't show:"))
    for message in messages:
        say(f"  – {tr(message)}")

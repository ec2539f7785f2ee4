"""`edubba ledger`: the record of all that changed anything, judged without trusting us."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from control_plane.cli import credentials
from control_plane.cli.checkpoints import Held, Seen, note_checkpoint, prove_growth, see
from control_plane.cli.choices import LimitOption
from control_plane.cli.client import Client, connect, pause
from control_plane.cli.exits import Code, Stop
from control_plane.cli.judging import judge_file
from control_plane.cli.terminal import answer, err, facts, note, options, rows, say, tr
from control_plane.kit import clock
from control_plane.ledger.receipts import Receipt, ReceiptInvalid, verify_receipt

group = typer.Typer(no_args_is_help=True)
SEALED_WITHIN_S = 10.0
_END = b'"kind":"end"'


@group.command()
def verify(
    file: Annotated[
        Path | None, typer.Argument(help="An export or a receipt; else the platform's ledger now.")
    ] = None,
    key: Annotated[
        str, typer.Option("--key", help="The ledger's public key, or a file with it; else as kept.")
    ] = "",
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", help="A checkpoint from elsewhere, besides those kept here."),
    ] = None,
) -> None:
    """Judge an export or a receipt; with a file nobody is asked, and no network is needed.

    Exit code 9 if anything was edited, removed, moved or cut off. What can't be shown is said.
    """
    held = Held(credentials.chosen_url(options().url))
    notes = [_text_of(path) for path in checkpoint or ()]
    if file is not None:
        judge_file(file, held, _key_of(key), notes)
        return
    client = connect()
    trouble = note_checkpoint(client)
    copy = held.folder / f"export-{clock.now():%Y%m%dT%H%M%SZ}-{os.getpid()}.jsonl"
    held.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with copy.open("xb") as target:
            _download(client, target)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    try:
        judge_file(copy, held, _key_of(key), notes)
    except (Stop, typer.Exit):
        note(tr("What was judged is kept in {file}.", file=copy))
        raise
    copy.unlink()
    if trouble is not None:
        raise trouble


@group.command()
def export(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to; - is standard output.")
    ] = Path("edubba-ledger.jsonl"),
) -> None:
    """Fetch the whole ledger as JSON lines, to be judged by anybody with `edubba ledger verify`."""
    client = connect()
    note_checkpoint(client)  # if something is wrong, the export is wanted all the more
    if str(output) == "-":
        _download(client, sys.stdout.buffer)
        return
    partial = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with partial.open("xb") as target:
            entries, size = _download(client, target)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    done = {"file": str(output), "entries": entries, "bytes": size}
    message = tr("{entries} entries, {bytes} bytes, in {file}", **done)
    answer(done, lambda: say(message))


@group.command()
def receipt(
    entry_id: Annotated[str, typer.Argument(metavar="ENTRY", help="Its id, ent_….")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to; else ENTRY.receipt.json.")
    ] = None,
) -> None:
    """Fetch the receipt of an entry, verify it, and save it: proof for years to come."""
    client = connect()
    held = Held(client.url)
    document = _fetch_receipt(client, entry_id)
    seen = see(client, held)
    if seen is None:
        raise _not_proved("no checkpoint")
    try:
        proved = verify_receipt(document, seen.vkey)
    except ReceiptInvalid as broken:
        raise _not_proved(str(broken)) from broken
    held.keep(proved.checkpoint, seen.vkey)
    prove_growth(client, proved.checkpoint, seen.vkey)
    path = output or Path(f"{entry_id}.receipt.json")
    path.write_bytes(document)
    shown = {"file": str(path), "receipt": json.loads(document)}
    answer(shown, lambda: _show_receipt(proved, path))


@group.command("list")
def list_entries(
    agency: Annotated[str, typer.Option("--agency", "-a", help="Only of this agency.")] = "",
    subject: Annotated[str, typer.Option("--subject", help="Only about this id.")] = "",
    by: Annotated[str, typer.Option("--by", help="Only done by this id.")] = "",
    action: Annotated[str, typer.Option("--action", help="Such as hosting.requested.")] = "",
    limit: LimitOption = 50,
) -> None:
    """List entries, the newest first: an agency's to its owner, all to the data centre."""
    asked = {"agency": agency, "subject": subject, "by": by, "action": action}
    wanted = {name: value for name, value in asked.items() if value}
    items = connect().list_all("/v1/ledger/entries", limit, **wanted)
    columns = ("index", "at", "action", "subject_id", "actor_id", "id")
    titles = ("Number", "At", "Action", "About", "By", "Id")
    answer(
        {"items": items},
        lambda: rows(titles, ([item[column] for column in columns] for item in items)),
    )


@group.command()
def checkpoint() -> None:
    """Look at the newest checkpoint, have its growth from those kept proved, and keep it."""
    client = connect()
    held = Held(client.url)
    seen = see(client, held)
    if seen is None:
        raise Stop(
            Code.NOT_FOUND, "ledger_empty", tr("The ledger has no signed checkpoint yet"), ""
        )
    shown = {
        "tree_size": seen.checkpoint.size,
        "note": seen.note,
        "vkey": seen.vkey,
        "held": len(held.list_notes()),
        "folder": str(held.folder),
    }
    answer(shown, lambda: _show_checkpoint(seen, shown))


def _download(client: Client, target: BinaryIO) -> tuple[int, int]:
    """Write the export; return how many entries and bytes it has. Raises: Stop if it was cut."""
    size = lines = 0
    tail = b""
    with (
        _for_the_centre(),
        client.stream("/v1/ledger/export") as pieces,
        _progress(client) as advance,
    ):
        for piece in pieces:
            target.write(piece)
            size += len(piece)
            lines += piece.count(b"\n")
            tail = (tail + piece)[-1024:]
            advance(len(piece))
    if _END not in tail:
        raise Stop(Code.FAILED, "export_cut", tr("The export broke off"), tr("Try again."))
    end = json.loads(tail.splitlines()[-1])
    return int(end["entries"]), size


@contextmanager
def _for_the_centre() -> Iterator[None]:
    """Say to whom the whole ledger is not open what they can have proved instead."""
    try:
        yield
    except Stop as stop:
        if stop.code != Code.FORBIDDEN:
            raise
        mend = tr(
            "The data centre's operators and auditors export it. `edubba ledger checkpoint` proves"
            " to everybody that it only grows, `edubba ledger receipt ENTRY` what concerns you."
        )
        raise Stop(stop.code, stop.reason, stop.title, mend, **stop.facts) from stop


@contextmanager
def _progress(client: Client) -> Iterator[Callable[[int], None]]:
    console = err()
    note(tr("Fetching the ledger of {url}", url=client.url))
    if not console.is_terminal:
        yield lambda _size: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(tr("Ledger"), total=None)
        yield lambda size: progress.advance(task, size)


def _fetch_receipt(client: Client, entry_id: str) -> bytes:
    ends_at = time.monotonic() + SEALED_WITHIN_S
    while True:
        try:
            return client.send("GET", f"/v1/ledger/receipts/{entry_id}").content
        except Stop as stop:
            # An entry gets its place within a second or so of what it tells of.
            if stop.reason != "ledger_entry_not_sealed" or time.monotonic() >= ends_at:
                raise
        pause(0.5)


def _not_proved(why: str) -> Stop:
    return Stop(
        Code.NOT_VERIFIED,
        "receipt_invalid",
        tr("The receipt proves nothing: {why}", why=why),
        tr("Keep it and tell those responsible: it is evidence."),
    )


def _key_of(said: str) -> str | None:
    if not said:
        return None
    return said if "+" in said else _text_of(Path(said)).strip()


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Stop(
            Code.USAGE, "file_unreadable", tr("{file} can't be read", file=path), str(error)
        ) from error


def _show_receipt(proved: Receipt, path: Path) -> None:
    leaf = proved.leaf
    facts(
        [
            ("Entry", leaf.id),
            ("Number", proved.index),
            ("At", leaf.at),
            ("Action", leaf.action),
            ("About", leaf.subject),
            ("By", leaf.actor),
        ]
    )
    say(tr("Proved by the ledger's signed checkpoint, and saved in {file}.", file=path))


def _show_checkpoint(seen: Seen, shown: dict[str, Any]) -> None:
    facts(
        [
            ("Entries", seen.checkpoint.size),
            ("Public key", seen.vkey),
            ("Checkpoints kept", shown["held"]),
            ("Kept in", shown["folder"]),
        ]
    )
    if seen.is_first:
        say(
            tr(
                "This is the first one kept here; compare the key with one that you got another"
                " way."
            )
        )
    else:
        say(tr("It only adds to the checkpoints kept here before."))

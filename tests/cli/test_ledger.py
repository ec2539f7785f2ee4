"""The ledger is judged without trusting anybody: what was altered is found and ends with a code."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from control_plane.identity.rules import Role
from control_plane.ledger import queries
from control_plane.ledger.note import Checkpoint, VerifierKey, signed_note
from control_plane.ledger.queries import EntryFilter
from tests.cli.terminal import Terminal, World, an_account, await_so
from tests.ledger.forge import LOG, STRANGER, Forged, edited, entries_of, forge, sealed
from tests.stories.cli import Done

VKEY = str(LOG.key)
HONEST = forge(entries_of(12), (1, 5, 11, 12))
OLDER = forge(entries_of(12)[:5], (1, 5))


@dataclass(frozen=True)
class Reader:
    """Somebody without any network, who holds a key and perhaps checkpoints."""

    terminal: Terminal

    def judge(self, export: Sequence[bytes], *options: str) -> Done:
        (self.terminal.home / "export.jsonl").write_bytes(b"".join(export))
        return self.terminal.run("ledger", "verify", "export.jsonl", "--key", VKEY, *options)

    def holding(self, note: str) -> list[str]:
        (self.terminal.home / "newest.note").write_text(note)
        return ["--checkpoint", "newest.note"]


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(Terminal("http://127.0.0.1:9", tmp_path))  # nothing listens there


def test_an_honest_export_is_whole_and_what_cannot_be_shown_is_said(reader: Reader) -> None:
    done = reader.judge(HONEST.lines, *reader.holding(OLDER.newest))
    assert done.code == 0, done
    assert "The ledger is whole: 12 entries" in done.output
    assert "What this can't show:" in done.output
    assert "no checkpoint was held" not in done.output
    document = reader.judge(HONEST.lines, *reader.holding(OLDER.newest), "--json").json
    assert document["whole"] is True
    assert document["findings"] == []
    assert len(document["not_shown"]) == 2


def test_without_a_checkpoint_it_is_said_that_a_cut_would_not_show(reader: Reader) -> None:
    done = reader.judge(OLDER.lines)
    assert done.code == 0
    assert "no checkpoint was held to miss them" in done.output


def an_edit() -> Forged:
    entries = entries_of(12)
    entries[3] = edited(entries[3])
    notes = dict(zip((1, 5, 11, 12), HONEST.notes, strict=True))
    return forge(entries, (1, 5, 11, 12), notes=notes)


def without(lines: Sequence[bytes], number: int) -> list[bytes]:
    kept = [line for line in lines[:-1] if f'"index":{number},'.encode() not in line]
    return sealed(kept)


def swapped(lines: Sequence[bytes]) -> list[bytes]:
    return sealed([*lines[:3], lines[4], lines[3], *lines[5:-1]])


ALTERED: dict[str, Callable[[], Sequence[bytes]]] = {
    "edited": lambda: an_edit().lines,
    "a byte changed": lambda: [line.replace(b"hst_1", b"hst_2") for line in HONEST.lines],
    "deleted": lambda: without(HONEST.lines, 7),
    "reordered": lambda: swapped(HONEST.lines),
    "truncated, as found": lambda: HONEST.lines[:-4],
    "truncated and sealed anew": lambda: OLDER.lines,
    "signed by somebody else": lambda: forge(entries_of(12), (12,), signer=STRANGER).lines,
    "another history, signed with the key": lambda: (
        forge([edited(entry) for entry in entries_of(12)], (1, 5, 11, 12)).lines
    ),
    "empty": list,
    "no export at all": lambda: [b"<html>\n"],
}


@pytest.mark.parametrize("how", ALTERED)
def test_whatever_was_done_to_an_export_is_found_and_ends_with_its_own_code(
    reader: Reader, how: str
) -> None:
    options = reader.holding(HONEST.newest)
    done = reader.judge(ALTERED[how](), *options)
    assert done.code == 9, done
    assert "The ledger is not what was signed" in done.output
    document = reader.judge(ALTERED[how](), *options, "--json")
    assert document.code == 9
    assert document.json["whole"] is False
    assert document.json["findings"]


def test_findings_are_told_in_arabic(reader: Reader) -> None:
    path = reader.terminal.home / "export.jsonl"
    path.write_bytes(b"".join(an_edit().lines))
    done = reader.terminal.run("ledger", "verify", str(path), "--key", VKEY, language="ar")
    assert done.code == 9
    assert "The ledger is not" not in done.output
    assert "An entry is not" not in done.output


def test_a_key_from_the_file_itself_is_said_to_prove_little(reader: Reader) -> None:
    path = reader.terminal.home / "export.jsonl"
    path.write_bytes(b"".join(HONEST.lines))
    done = reader.terminal.run("ledger", "verify", str(path), "--json")
    assert done.code == 0
    assert done.json["key_from_file"] is True
    assert len(done.json["not_shown"]) == 4


def test_a_checkpoint_of_somebody_else_is_not_taken(reader: Reader) -> None:
    foreign = forge(entries_of(3), (3,), signer=STRANGER).newest
    done = reader.judge(HONEST.lines, *reader.holding(foreign), "--json")
    assert (done.code, done.json["error"]["code"]) == (9, "ledger_checkpoint_invalid")


@pytest.fixture
def auditor(world: World) -> Terminal:
    world.agency("ledger")
    return world.person(Role.AUDITOR)


def test_the_platforms_ledger_is_fetched_judged_and_its_checkpoint_kept(
    auditor: Terminal,
) -> None:
    first = auditor.ask("ledger", "verify")
    assert first["whole"] is True
    assert first["key_from_file"] is False
    folder = Path(auditor.ask("ledger", "checkpoint")["folder"])
    await_so(lambda: auditor.ask("ledger", "checkpoint")["tree_size"] > first["entries"])
    again = auditor.ask("ledger", "verify")  # the first look is an entry itself
    assert again["entries"] > first["entries"]
    assert again["held"] > first["held"]
    assert len(list(folder.glob("*.note"))) == again["held"]
    assert list(folder.glob("export-*")) == []


def test_an_export_is_a_file_that_is_judged_without_the_platform(auditor: Terminal) -> None:
    done = auditor.ask("ledger", "export", "-o", "ledger.jsonl")
    lines = (auditor.home / "ledger.jsonl").read_bytes().splitlines()
    assert json.loads(lines[-1])["entries"] == done["entries"]
    offline = Terminal(auditor.url, auditor.home)  # what is kept of this platform counts
    judged = offline.ask("ledger", "verify", "ledger.jsonl")
    assert (judged["whole"], judged["key_from_file"]) == (True, False)
    assert list(auditor.home.glob(".ledger*")) == []
    assert "entries" in auditor.tell("ledger", "export", "-o", "again.jsonl")


def test_a_checkpoint_from_elsewhere_is_kept_once_it_fits(auditor: Terminal, world: World) -> None:
    other = world.person(Role.AUDITOR)
    seen = other.ask("ledger", "checkpoint")
    (auditor.home / "theirs.note").write_text(seen["note"])
    auditor.ask("ledger", "export", "-o", "ledger.jsonl")
    auditor.ask("ledger", "verify", "ledger.jsonl", "--checkpoint", "theirs.note")
    kept = [path.read_text() for path in auditor.ledger_folder.glob("*.note")]
    assert seen["note"] in kept


def test_an_export_goes_into_a_pipe(auditor: Terminal) -> None:
    piped = auditor.run("ledger", "export", "-o", "-")
    assert piped.code == 0
    assert piped.output.splitlines()[-1].startswith('{"checkpoints":')


def test_only_the_data_centre_exports(world: World) -> None:
    owner = world.person(Role.OWNER, world.agency())
    for verb in ("export", "verify"):
        done = owner.run("ledger", verb)
        assert done.code == 4
        assert "`edubba ledger receipt ENTRY`" in done.errors
    assert list(owner.home.glob("*.jsonl")) == []
    assert owner.ask("ledger", "checkpoint")["tree_size"] > 0


def test_a_receipt_is_verified_saved_and_judged_years_later(world: World) -> None:
    agency = world.agency()
    owner = world.person(Role.OWNER, agency)
    await_so(lambda: owner.ask("ledger", "list", "--action", "quota.set")["items"])
    [entry] = owner.ask("ledger", "list", "--action", "quota.set")["items"]
    assert entry["subject_id"] == agency.id
    told = owner.tell("ledger", "receipt", entry["id"])
    assert "Proved by the ledger's signed checkpoint" in told
    receipt = f"{entry['id']}.receipt.json"
    assert owner.ask("ledger", "receipt", entry["id"], "-o", "r.json")["file"] == "r.json"
    offline = Terminal("http://127.0.0.1:9", owner.home)
    vkey = owner.ask("ledger", "checkpoint")["vkey"]
    assert offline.ask("ledger", "verify", receipt, "--key", vkey)["entry"]["id"] == entry["id"]
    assert entry["id"] in offline.tell("ledger", "verify", "r.json", "--key", vkey)
    text = (owner.home / receipt).read_text()
    (owner.home / receipt).write_text(text.replace(agency.id, agency.id[::-1]))
    forged = offline.run("ledger", "verify", receipt, "--key", vkey, "--json")
    assert (forged.code, forged.json["error"]["code"]) == (9, "receipt_invalid")


def test_there_is_no_receipt_of_what_concerns_others(world: World) -> None:
    mine, other = world.agency(), world.agency()
    theirs = world.person(Role.OWNER, other)
    await_so(lambda: theirs.ask("ledger", "list", "--action", "quota.set")["items"])
    [entry] = theirs.ask("ledger", "list", "--action", "quota.set")["items"]
    assert world.person(Role.OWNER, mine).run("ledger", "receipt", entry["id"]).code == 5


def test_entries_are_listed_for_people(world: World) -> None:
    agency = world.agency()
    owner = world.person(Role.OWNER, agency)
    await_so(lambda: owner.ask("ledger", "list")["items"])
    assert "quota.set" in owner.tell("ledger", "list")
    assert "الإجراء" in owner.tell("ledger", "list", language="ar")


def test_a_login_keeps_a_checkpoint(world: World) -> None:
    account = an_account(world, Role.OWNER, world.agency())
    stranger = world.terminal()
    login = ["login", "--email", account.email, "--password-stdin"]
    assert stranger.run(*login, stdin=account.password).code == 0
    assert len(list(stranger.ledger_folder.glob("*.note"))) == 1


def rewrite(world: World, number: int, actor_id: str) -> None:
    """Do what somebody with write access to the database could do."""
    with world.db.begin() as session:
        [entry] = queries.list_entries(session, EntryFilter(), after=number - 1, limit=1)
        entry.actor_id = actor_id
        session.add(entry)


def test_an_entry_edited_in_the_database_is_found_and_the_evidence_kept(own_world: World) -> None:
    auditor = own_world.person(Role.AUDITOR)
    auditor.ask("ledger", "verify")
    rewrite(own_world, 1, "psn_somebody_else")
    done = auditor.run("ledger", "verify", "--json")
    assert done.code == 9
    assert done.json["first_bad_index"] == 1
    [evidence] = auditor.ledger_folder.glob("export-*.jsonl")
    assert str(evidence) in done.errors


def test_another_key_is_noticed_at_the_next_look(own_world: World) -> None:
    auditor = own_world.person(Role.AUDITOR)
    auditor.ask("ledger", "checkpoint")
    with own_world.db.begin() as session:
        log = queries.find_log(session)
        assert log is not None
        log.vkey = str(STRANGER.key)
        session.add(log)
    done = auditor.run("ledger", "checkpoint", "--json")
    assert (done.code, done.json["error"]["code"]) == (9, "ledger_key_changed")


@pytest.mark.parametrize("further", [0, 1_000])
def test_a_ledger_that_does_not_continue_what_is_held_is_noticed(
    own_world: World, further: int
) -> None:
    """Whoever restores an older ledger, or shows another one, contradicts what people hold."""
    auditor = own_world.person(Role.AUDITOR)
    seen = auditor.ask("ledger", "checkpoint")
    key = VerifierKey.parse(seen["vkey"])
    for kept in auditor.ledger_folder.glob("*.note"):
        kept.unlink()
    text = Checkpoint(key.name, seen["tree_size"] + further, bytes(32)).text()
    keyring = own_world.centre.engine._ports.keyring
    note = signed_note(text, key, keyring.sign_checkpoint(text.encode()))
    (auditor.ledger_folder / f"{seen['tree_size'] + further:012}-{'0' * 16}.note").write_text(note)
    for verb in ("checkpoint", "verify"):
        done = auditor.run("ledger", verb)
        assert done.code == 9, done
        assert "does not continue the checkpoint" in done.errors

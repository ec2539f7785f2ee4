"""What leaves the house: exports, receipts and redaction, from both databases."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from control_plane.kit import clock
from control_plane.kit.db import Database
from control_plane.ledger import actions, exports, merkle, queries
from control_plane.ledger.exports import export_lines, receipt
from control_plane.ledger.note import VerifierKey
from control_plane.ledger.queries import EntryFilter
from control_plane.ledger.receipts import ReceiptInvalid, has_grown, verify_receipt
from control_plane.ledger.rules import (
    CheckpointUnknown,
    EntryNotSealed,
    EntryUnknown,
    life_actor,
    policy_actor,
)
from control_plane.ledger.verifier import Fault, Report, verify
from tests.ledger.conftest import Ledger


@pytest.fixture
def grown(ledger: Ledger) -> Ledger:
    """Eleven entries under five checkpoints, the fourth entry redacted."""
    entries: list[str] = []
    for count in (1, 2, 3, 3):
        entries = ledger.append(count)
        ledger.seal()
    with ledger.db.begin() as session:
        actions.redact(session, actor_id="psn_dpo", entry_id=entries[0], reason="asked to forget")
    ledger.append(1)
    ledger.seal()
    return ledger


def judge(ledger: Ledger, held: str | None = None) -> Report:
    return verify(ledger.export(), ledger.vkey, held)


def tamper(db: Database, statement: str, **values: object) -> None:
    with db.begin() as session:
        done = session.connection().execute(text(statement), values)
        assert done.rowcount > 0


def test_an_export_of_the_database_is_whole(grown: Ledger) -> None:
    report = judge(grown, grown.newest())
    assert report.is_whole, report.findings
    assert (report.entries, report.checkpoints, report.redacted) == (11, 5, 1)
    assert report.newest == grown.newest()


def test_an_export_is_the_same_however_it_is_paged(
    grown: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = grown.export()
    for page in (1, 2, 3, 11):
        monkeypatch.setattr(exports, "PAGE", page)
        assert grown.export() == whole


def test_an_export_ends_at_the_signed_checkpoint(grown: Ledger) -> None:
    grown.append(4)
    assert judge(grown).entries == 11


def test_nothing_can_be_exported_before_the_first_signature(ledger: Ledger) -> None:
    ledger.append(1)
    with pytest.raises(CheckpointUnknown):
        ledger.export()


TAMPERING = {
    "payload": "UPDATE ledger_entry SET payload = '{\"number\"\\:7}' WHERE leaf_index = 5",
    "payload of no form": "UPDATE ledger_entry SET payload = 'nonsense' WHERE leaf_index = 5",
    "actor": "UPDATE ledger_entry SET actor_id = 'psn_other' WHERE leaf_index = 5",
    "agency": "UPDATE ledger_entry SET agency_id = NULL WHERE leaf_index = 5",
    "action": "UPDATE ledger_entry SET action = 'hosting.ended' WHERE leaf_index = 5",
    "subject": "UPDATE ledger_entry SET subject_id = 'hst_9' WHERE leaf_index = 5",
    "time": "UPDATE ledger_entry SET created_at = (SELECT max(created_at) FROM ledger_entry)"
    " WHERE leaf_index = 5",
    "id": "UPDATE ledger_entry SET id = 'ent_other' WHERE leaf_index = 5",
    "erasing in silence": "UPDATE ledger_entry SET payload = NULL, salt = NULL"
    " WHERE leaf_index = 5",
    "deletion": "DELETE FROM ledger_entry WHERE leaf_index = 5",
    "node": "DELETE FROM ledger_node WHERE last_leaf = 5 AND level = 1",
    "leaf's node": "DELETE FROM ledger_node WHERE last_leaf = 5 AND level = 0",
}


@pytest.mark.parametrize("statement", TAMPERING.values(), ids=TAMPERING)
def test_tampering_with_the_database_names_the_entry(grown: Ledger, statement: str) -> None:
    tamper(grown.db, statement)
    report = judge(grown, grown.newest())
    assert not report.is_whole
    assert report.first_bad_index == 5, report.findings


def test_entries_swapped_in_the_database_are_found(grown: Ledger) -> None:
    for old, new in ((5, 1000), (6, 5), (1000, 6)):
        tamper(
            grown.db,
            "UPDATE ledger_entry SET leaf_index = :new WHERE leaf_index = :old",
            old=old,
            new=new,
        )
    assert judge(grown, grown.newest()).first_bad_index == 5


def test_the_newest_entries_deleted_with_their_checkpoint_need_one_held(grown: Ledger) -> None:
    held = grown.newest()
    tamper(grown.db, "DELETE FROM ledger_entry WHERE leaf_index >= 6")
    tamper(grown.db, "DELETE FROM ledger_checkpoint WHERE tree_size > 6")
    assert judge(grown).is_whole  # nobody who holds nothing can tell
    report = judge(grown, held)
    assert {finding.fault for finding in report.findings} == {Fault.TRUNCATED}
    assert report.first_bad_index == 6


def test_a_database_restored_to_yesterday_is_found_out_as_a_fork(grown: Ledger) -> None:
    held = grown.newest()
    tamper(grown.db, "DELETE FROM ledger_entry WHERE leaf_index >= 6")
    tamper(grown.db, "DELETE FROM ledger_node WHERE last_leaf >= 6")
    tamper(grown.db, "DELETE FROM ledger_checkpoint WHERE tree_size > 6")
    grown.append(9)
    grown.seal()
    assert judge(grown).is_whole
    report = judge(grown, held)
    assert {finding.fault for finding in report.findings} == {Fault.FORKED}


# Redaction


def test_a_redacted_payload_is_gone_and_every_proof_still_holds(ledger: Ledger) -> None:
    first, second = ledger.append(1, payload={"email": "person@example.iq"}), ledger.append(1)
    ledger.seal()
    before = ledger.newest()
    with ledger.db.begin() as session:
        word = actions.redact(session, actor_id="psn_dpo", entry_id=first[0], reason="asked")
    ledger.seal()
    with ledger.db.read() as session:
        entry = queries.get_entry(session, first[0])
        assert (entry.payload, entry.salt, entry.facts) == (None, None, None)
        said = queries.get_entry(session, word)
        assert (said.subject_id, said.facts) == (first[0], {"reason": "asked"})
        for entry_id in (*first, *second, word):
            verify_receipt(receipt(session, entry_id).encode(), ledger.vkey)
    assert b"person@example.iq" not in b"".join(ledger.export())
    assert judge(ledger, before).is_whole
    assert judge(ledger, ledger.newest()).redacted == 1


def test_an_entry_redacted_before_it_was_sealed_is_as_good(ledger: Ledger) -> None:
    (entry,) = ledger.append(1)
    with ledger.db.begin() as session:
        actions.redact(session, actor_id="psn_dpo", entry_id=entry, reason="asked")
    ledger.seal()
    assert judge(ledger, ledger.newest()).is_whole
    assert judge(ledger).redacted == 1


def test_an_unknown_entry_can_not_be_redacted(ledger: Ledger) -> None:
    with pytest.raises(EntryUnknown), ledger.db.begin() as session:
        actions.redact(session, actor_id="psn_dpo", entry_id="ent_none", reason="asked")


def test_a_redaction_while_an_export_is_under_way_raises_no_false_alarm(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PAGE", 1)
    entries = ledger.append(4)
    ledger.seal()
    with ledger.db.read() as session:
        lines: Iterator[bytes] = export_lines(session)
        out = [next(lines), next(lines)]
        with ledger.db.begin() as other:
            actions.redact(other, actor_id="psn_dpo", entry_id=entries[3], reason="asked")
        ledger.seal()
        out += lines
    report = verify(out, ledger.vkey)
    assert report.is_whole, report.findings
    if ledger.db.is_postgresql:  # read committed: the later pages saw it, and why
        assert (report.entries, report.redacted) == (5, 1)


# Receipts


def test_every_entry_has_a_receipt_that_proves_it(grown: Ledger) -> None:
    with grown.db.read() as session:
        entries = queries.list_entries(session, EntryFilter())
        assert len(entries) == 11
        for entry in entries:
            proved = verify_receipt(receipt(session, entry.id).encode(), grown.vkey)
            assert (proved.leaf.id, proved.index) == (entry.id, entry.leaf_index)
            assert proved.payload == entry.facts


def test_a_receipt_altered_anywhere_proves_nothing(grown: Ledger) -> None:
    with grown.db.read() as session:
        (entry,) = queries.list_entries(session, EntryFilter(), after=4, limit=1)
        document = receipt(session, entry.id).encode()
    assert verify_receipt(document, grown.vkey).index == 5
    honest = json.loads(document)
    for at, old in enumerate(document):
        for new in {old ^ 1, ord("0")} - {old}:
            changed = document[:at] + bytes([new]) + document[at + 1 :]
            try:
                if json.loads(changed) == honest:
                    continue  # whitespace at the end
            except ValueError:
                pass
            with pytest.raises(ReceiptInvalid):
                verify_receipt(changed, grown.vkey)


def test_half_a_payload_in_a_receipt_is_refused(grown: Ledger) -> None:
    with grown.db.read() as session:
        (entry,) = queries.list_entries(session, EntryFilter(), limit=1)
        document = json.loads(receipt(session, entry.id).encode())
    for half in ("payload", "salt"):
        with pytest.raises(ReceiptInvalid, match="half"):
            verify_receipt(json.dumps({**document, half: None}), grown.vkey)


def test_an_entry_has_no_receipt_until_it_is_sealed(ledger: Ledger) -> None:
    (entry,) = ledger.append(1)
    with ledger.db.read() as session:
        with pytest.raises(EntryNotSealed):
            receipt(session, entry)
        with pytest.raises(EntryUnknown):
            receipt(session, "ent_none")
    with clock.shifted(timedelta(seconds=1)):
        ledger.engine.run_step(ledger.life_id)  # placed, not signed
    with ledger.db.read() as session, pytest.raises(EntryNotSealed):
        receipt(session, entry)


# Checkpoints


def test_the_latest_checkpoint_is_proved_to_only_add_to_any_older_one(grown: Ledger) -> None:
    with grown.db.read() as session:
        for older in queries.list_checkpoints(session, merkle.Span(0, 12)):
            newest, proof = queries.load_consistency_proof(session, older.tree_size)
            hexes = [node.hex() for node in proof]
            assert older.note is not None
            assert newest.note is not None
            assert has_grown(older.note, newest.note, hexes, grown.vkey)
            if older.tree_size < newest.tree_size:
                assert not has_grown(newest.note, older.note, hexes, grown.vkey)
                assert not has_grown(older.note, newest.note, [*hexes, "00" * 32], grown.vkey)
        for size in (-1, 12):
            with pytest.raises(CheckpointUnknown):
                queries.load_consistency_proof(session, size)


def test_the_key_is_known_once_something_was_signed(ledger: Ledger) -> None:
    with ledger.db.read() as session:
        assert queries.find_vkey(session) is None
    ledger.append(1)
    ledger.seal()
    with ledger.db.read() as session:
        assert queries.find_vkey(session) == ledger.vkey
        assert VerifierKey.parse(ledger.vkey).name == "edubba.test/ledger"


# Lists


def test_entries_are_listed_by_what_is_asked_for(ledger: Ledger) -> None:
    by_person = ledger.append(3, actor_id="psn_a", agency_id="agy_a")
    by_life = ledger.append(2, actor_id=life_actor("lif_1"), action="hosting.built")
    by_policy = ledger.append(1, actor_id=policy_actor("small"), agency_id=None, subject_id="req_1")
    ledger.seal()
    ledger.append(1, actor_id="psn_a")  # not sequenced yet
    wanted = {
        EntryFilter(actor_id="psn_a"): by_person,
        EntryFilter(agency_id="agy_a", subject_id="hst_1"): by_person[1:2],
        EntryFilter(action="hosting.built"): by_life,
        EntryFilter(actor_id="policy:small"): by_policy,
        EntryFilter(subject_id="nothing"): [],
        EntryFilter(): by_person + by_life + by_policy,
    }
    with ledger.db.read() as session:
        for entry_filter, expected in wanted.items():
            assert [e.id for e in queries.list_entries(session, entry_filter)] == expected


def test_a_list_goes_on_where_the_last_page_ended(ledger: Ledger) -> None:
    written = ledger.append(7)
    ledger.seal()
    with ledger.db.read() as session:
        up = queries.list_entries(session, EntryFilter(), after=2, limit=3)
        down = queries.list_entries(session, EntryFilter(), after=2, limit=3, newest_first=True)
        newest = queries.list_entries(session, EntryFilter(), limit=2, newest_first=True)
    assert [e.id for e in up] == written[3:6]
    assert [e.id for e in down] == written[1::-1]
    assert [e.id for e in newest] == written[:4:-1]

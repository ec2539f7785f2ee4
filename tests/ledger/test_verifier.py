"""Whatever is done to an export is found, and named; an honest one passes."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.ledger.leaf import canonical
from control_plane.ledger.merkle import EMPTY_ROOT
from control_plane.ledger.note import NoteInvalid
from control_plane.ledger.rules import REDACTED
from control_plane.ledger.verifier import Fault, Report, verify
from tests.ledger.forge import LOG, STRANGER, Entry, Forged, edited, entries_of, forge, sealed

VKEY = str(LOG.key)
SIZES = (1, 2, 5, 11, 12)
ENTRIES = [
    *entries_of(9),
    replace(Entry(9), is_redacted=True),
    Entry(10, action=REDACTED, subject="ent_9", payload={"reason": "asked by the person"}),
    Entry(11),
]
HONEST = forge(ENTRIES, SIZES)
LINES = HONEST.lines


def check(lines: Sequence[bytes], held: str | None = None) -> Report:
    return verify(iter(lines), VKEY, held)


def faults(report: Report) -> set[Fault]:
    return {finding.fault for finding in report.findings}


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Entry], list[int]]:
    """Entries, and the sizes at which checkpoints were signed; the last covers all."""
    count = draw(st.integers(2, 40))
    sizes = draw(st.sets(st.integers(1, count), max_size=6)) | {count}
    return entries_of(count), sorted(sizes)


@given(histories())
def test_an_honest_export_is_whole(history: tuple[list[Entry], list[int]]) -> None:
    entries, sizes = history
    export = forge(entries, sizes)
    report = verify(export.lines, VKEY, export.newest, export.notes)
    assert report.is_whole, report.findings
    assert (report.entries, report.checkpoints) == (len(entries), len(sizes))
    assert report.newest == export.newest


def test_an_honest_export_with_a_redacted_entry_is_whole() -> None:
    report = check(LINES, HONEST.newest)
    assert report.is_whole, report.findings
    assert report.redacted == 1
    assert check(LINES).is_whole  # and without any checkpoint held


def test_an_export_that_grew_since_the_checkpoint_held_is_whole() -> None:
    for note in HONEST.notes:
        assert check(LINES, note).is_whole


def test_an_empty_ledger_is_whole() -> None:
    assert check(forge([], []).lines).is_whole
    assert check(forge([], []).lines, LOG.sign(0, EMPTY_ROOT)).is_whole
    assert faults(check(forge([], []).lines, LOG.sign(0, bytes(32)))) == {Fault.EDITED}


@settings(max_examples=600)
@given(st.data())
def test_any_byte_changed_is_found(data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(LINES) - 1))
    line = LINES[number]
    at = data.draw(st.integers(0, len(line) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != line[at]))
    changed = [*LINES[:number], line[:at] + bytes([byte]) + line[at + 1 :], *LINES[number + 1 :]]
    # As a file is read: what was changed may end a line, or no longer end one.
    assert not check(b"".join(changed).splitlines(keepends=True), HONEST.newest).is_whole


def _fields(document: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    if isinstance(document, dict):
        inner = [_fields(value, (*path, key)) for key, value in document.items()]
    elif isinstance(document, list):
        inner = [_fields(value, (*path, at)) for at, value in enumerate(document)]
    else:
        return [path]
    return [found for paths in inner for found in paths]


FIELDS = [(number, path) for number, line in enumerate(LINES) for path in _fields(json.loads(line))]


def _changed(value: object) -> object:
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return ("b" if value.startswith("a") else "a") + value[1:]
    return "agy_2"


@pytest.mark.parametrize(("number", "path"), FIELDS)
def test_any_field_changed_is_found_though_the_file_is_sealed_anew(
    number: int, path: tuple[object, ...]
) -> None:
    document = json.loads(LINES[number])
    target = document
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = _changed(target[path[-1]])
    line = canonical(document) + b"\n"
    lines = [*LINES[:number], line, *LINES[number + 1 : -1]]
    lines = sealed(lines) if number < len(LINES) - 1 else [*LINES[:-1], line]
    report = check(lines, HONEST.newest)
    assert not report.is_whole
    if document["kind"] == "entry" and path != ("index",):
        entry = json.loads(LINES[number])["index"]
        # An altered hash of the tree leaves open which entry it stood for since the last root that
        # was right; without entry 10 nobody knows that entry 9 was redacted.
        good = max(size for size in (0, *SIZES) if size <= entry)
        possible = set(range(good, entry + 1)) if path[0] == "nodes" else {entry}
        assert report.first_bad_index in possible | ({9} if entry == 10 else set())


@pytest.mark.parametrize("number", range(len(LINES)))
@pytest.mark.parametrize("is_sealed_anew", [True, False])
def test_a_line_taken_out_is_found(number: int, *, is_sealed_anew: bool) -> None:
    lines = [*LINES[:number], *LINES[number + 1 :]]
    is_older_checkpoint = b'"kind":"checkpoint"' in LINES[number] and number < len(LINES) - 2
    if is_sealed_anew and number < len(LINES) - 1:
        lines = sealed(lines[:-1])
        if is_older_checkpoint:  # nothing of the ledger is lost with it
            assert check(lines, HONEST.newest).is_whole
            return
    report = check(lines, HONEST.newest)
    assert not report.is_whole
    if b'"kind":"entry"' in LINES[number]:
        entry = json.loads(LINES[number])["index"]
        assert report.first_bad_index == (9 if entry == 10 else entry)  # 10 redacts 9


PLACES = st.integers(0, len(LINES) - 2)  # of all lines but the last


@pytest.mark.parametrize("is_sealed_anew", [True, False])
@given(one=PLACES, other=PLACES)
def test_lines_that_changed_places_are_found(one: int, other: int, *, is_sealed_anew: bool) -> None:
    if one == other:
        return
    lines = list(LINES)
    lines[one], lines[other] = lines[other], lines[one]
    report = check(sealed(lines[:-1]) if is_sealed_anew else lines, HONEST.newest)
    assert not report.is_whole


@pytest.mark.parametrize("is_sealed_anew", [True, False])
@given(source=PLACES, to=st.integers(0, len(LINES) - 1))
def test_a_line_that_stands_there_twice_is_found(
    source: int, to: int, *, is_sealed_anew: bool
) -> None:
    lines = [*LINES[:to], LINES[source], *LINES[to:]]
    report = check(sealed(lines[:-1]) if is_sealed_anew else lines, HONEST.newest)
    assert not report.is_whole


@given(st.integers(0, sum(map(len, LINES)) - 1))
def test_a_file_cut_anywhere_is_found(at: int) -> None:
    cut = b"".join(LINES)[:at].splitlines(keepends=True)
    assert Fault.TRUNCATED in faults(check(cut, HONEST.newest))
    assert not check(cut).is_whole  # even without a checkpoint held


@given(st.integers(0, len(LINES) - 4))
def test_the_newest_entries_cut_off_are_found_with_the_checkpoint_held(keep: int) -> None:
    report = check(sealed(LINES[: keep + 1]), HONEST.newest)
    assert Fault.TRUNCATED in faults(report)


def test_cut_back_to_an_older_checkpoint_is_found_only_with_a_newer_one_held() -> None:
    older = forge(ENTRIES[:5], SIZES)
    assert check(older.lines).is_whole
    report = check(older.lines, HONEST.newest)
    assert faults(report) == {Fault.TRUNCATED}
    assert report.first_bad_index == 5


def test_lines_behind_the_end_are_found() -> None:
    assert faults(check([*LINES, LINES[1]], HONEST.newest)) == {Fault.MALFORMED}


def _rewrites(entries: list[Entry], at: int) -> dict[str, list[Entry]]:
    return {
        "edit": [*entries[:at], edited(entries[at]), *entries[at + 1 :]],
        "delete": [*entries[:at], *entries[at + 1 :]],
        "insert": [*entries[:at], Entry(9_999), *entries[at:]],
        "append": [*entries, Entry(9_999)],
        "swap": [*entries[:at], *entries[at : at + 2][::-1], *entries[at + 2 :]],
        "duplicate": [*entries[: at + 1], *entries[at:]],
    }


HOWS = ["edit", "delete", "insert", "append", "swap", "duplicate"]


def _rewrite(
    history: tuple[list[Entry], list[int]], how: str, data: st.DataObject
) -> tuple[Forged, list[Entry], int]:
    """An honest export, the rewritten history, and the first place at which they differ."""
    entries, sizes = history
    at = data.draw(st.integers(0, len(entries) - 2))
    rewritten = _rewrites(entries, at)[how]
    differing = (
        n for n, pair in enumerate(zip(entries, rewritten, strict=False)) if pair[0] != pair[1]
    )
    return forge(entries, sizes), rewritten, next(differing, min(len(entries), len(rewritten)))


@pytest.mark.parametrize("how", HOWS)
@given(history=histories(), data=st.data())
def test_a_rewritten_history_does_not_fit_the_signed_checkpoints(
    how: str, history: tuple[list[Entry], list[int]], data: st.DataObject
) -> None:
    """All hashes are recomputed and the honest notes kept, as somebody without the key would."""
    honest, rewritten, first = _rewrite(history, how, data)
    sizes = history[1]
    forged = forge(rewritten, sizes, notes=dict(zip(sizes, honest.notes, strict=True)))
    for held in (honest.newest, None):
        report = check(forged.lines, held)
        if how == "delete" and held is None and len(sizes) > 1 and first >= sizes[-2]:
            continue  # the end was cut off with its checkpoint: only a checkpoint held tells
        assert not report.is_whole
        bad = report.first_bad_index
        assert bad is not None
        assert max((s for s in [0, *sizes] if s <= first), default=0) <= bad <= first


@pytest.mark.parametrize("how", HOWS)
@given(history=histories(), data=st.data())
def test_a_rewritten_history_signed_with_another_key_is_found(
    how: str, history: tuple[list[Entry], list[int]], data: st.DataObject
) -> None:
    honest, rewritten, _ = _rewrite(history, how, data)
    sizes = [*history[1], len(rewritten)]
    forged = forge(rewritten, sizes, signer=STRANGER)
    assert Fault.UNSIGNED in faults(check(forged.lines, honest.newest))
    assert Fault.UNSIGNED in faults(check(forged.lines))


@pytest.mark.parametrize("how", [how for how in HOWS if how != "append"])
@given(history=histories(), data=st.data())
def test_a_rewritten_history_signed_with_the_logs_own_key_is_found_as_a_fork(
    how: str, history: tuple[list[Entry], list[int]], data: st.DataObject
) -> None:
    honest, rewritten, _ = _rewrite(history, how, data)
    rewritten = [*rewritten, *(Entry(50_000 + n) for n in range(3))]
    forged = forge(rewritten, [len(rewritten)])
    assert Fault.FORKED in faults(check(forged.lines, honest.newest))
    assert check(forged.lines).is_whole  # nobody who holds nothing can tell: a witness would


def test_two_checkpoints_of_one_size_are_a_fork_and_both_are_shown() -> None:
    other = forge([*ENTRIES[:-1], edited(ENTRIES[-1])], SIZES)
    report = verify(LINES, VKEY, HONEST.newest, seen=[other.newest])
    assert Fault.FORKED in faults(report)
    shown = next(f.reason for f in report.findings if f.fault is Fault.FORKED)
    assert repr(HONEST.newest) in shown
    assert repr(other.newest) in shown
    report = check(LINES, other.newest)
    assert faults(report) == {Fault.FORKED}
    assert report.first_bad_index == 11


def test_an_older_checkpoint_kept_tells_of_a_fork_that_the_newest_does_not() -> None:
    other = forge([edited(ENTRIES[0]), *ENTRIES[1:3]], [3])
    report = verify(LINES, VKEY, HONEST.newest, seen=[other.newest])
    assert faults(report) == {Fault.FORKED}


def test_a_checkpoint_held_of_another_log_is_not_believed() -> None:
    assert faults(check(LINES, forge(ENTRIES, SIZES, signer=STRANGER).newest)) == {Fault.UNSIGNED}
    assert faults(check(LINES, "not a note")) == {Fault.UNSIGNED}


def test_an_export_of_another_log_is_refused() -> None:
    report = verify(LINES, str(STRANGER.key))
    assert {Fault.MALFORMED, Fault.UNSIGNED} <= faults(report)


def test_a_key_that_is_none_is_the_callers_mistake() -> None:
    with pytest.raises(NoteInvalid):
        verify(LINES, "not a key")


def test_entries_that_no_checkpoint_covers_are_named() -> None:
    report = check(forge(ENTRIES, [5]).lines)
    assert faults(report) == {Fault.UNCOVERED}
    assert report.first_bad_index == 5


def test_a_payload_that_is_gone_without_a_word_is_found() -> None:
    silent = [
        replace(entry, is_redacted=True) if n == 4 else entry for n, entry in enumerate(ENTRIES)
    ]
    report = check(forge(silent, SIZES).lines, HONEST.newest)
    assert faults(report) == {Fault.UNEXPLAINED}
    assert report.first_bad_index == 4


def test_within_a_large_batch_the_altered_content_is_named_exactly() -> None:
    entries = entries_of(300)
    honest = forge(entries, [300])
    rewritten = forge([*entries[:201], edited(entries[201]), *entries[202:]], [300])
    nodes = json.loads(honest.lines[202])["nodes"]
    document = {**json.loads(rewritten.lines[202]), "nodes": nodes}
    lines = [*honest.lines[:202], canonical(document) + b"\n", *honest.lines[203:-1]]
    report = check(sealed(lines), honest.newest)
    assert [finding.index for finding in report.findings] == [201]


def test_within_a_large_batch_an_altered_hash_is_named_to_the_pair() -> None:
    entries = entries_of(300)
    honest = forge(entries, [300])
    rewritten = forge([*entries[:201], edited(entries[201]), *entries[202:]], [300])
    nodes = json.loads(honest.lines[202])["nodes"]
    document = json.loads(rewritten.lines[202])
    document["nodes"] = [document["nodes"][0], *nodes[1:]]
    lines = [*honest.lines[:202], canonical(document) + b"\n", *honest.lines[203:-1]]
    report = check(sealed(lines), honest.newest)
    assert report.first_bad_index == 200
    assert "one of the entries 200 to 201" in report.findings[0].reason


def test_a_flood_of_faults_does_not_bury_the_first() -> None:
    report = check([b"nonsense\n"] * 5_000, HONEST.newest)
    assert len(report.findings) == 100
    assert report.findings[0].reason.startswith("line 1:")


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000 + b"\n",
        b'{"kind":"entry","index":NaN}\n',
        b'{"kind":"entry","index":' + b"9" * 5_000 + b"}\n",
        b'{"a":"\\ud800","kind":"entry"}\n',
        b'{"index":true,"kind":"entry","leaf":{},"nodes":[],"payload":null,"salt":null}\n',
        b'{"kind":"something"}\n',
        b"7\n",
        b"\xff\n",
        b"\n",
    ],
)
def test_a_hostile_line_is_reported_not_crashed_on(line: bytes) -> None:
    report = check([LINES[0], line, *LINES[1:]], HONEST.newest)
    assert Fault.MALFORMED in faults(report)
    assert "line 2" in report.findings[0].reason

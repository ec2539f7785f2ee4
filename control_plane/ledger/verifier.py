"""Judges an export against the log's public key and the checkpoints that the reader kept.

Needs no database and no network. With the newest checkpoint held, every edit, deletion, insertion,
reordering, truncation and fork of what it covers is found. What can't be found by anybody: an
entry altered before its first checkpoint was signed; a second history signed with the log's own
key, as long as nobody compares a checkpoint of one with the other; and without a checkpoint held,
that the newest entries were cut off together with their checkpoints. A witness would close these.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from control_plane.ledger import lines as formats
from control_plane.ledger import merkle
from control_plane.ledger.evidence import Evidence
from control_plane.ledger.lines import CheckpointLine, EndLine, EntryLine, HeaderLine, LineInvalid
from control_plane.ledger.merkle import Span
from control_plane.ledger.note import Checkpoint, NoteInvalid, VerifierKey, open_checkpoint
from control_plane.ledger.rules import REDACTED

MAX_FINDINGS = 100  # more would hide the first ones, which matter


class Fault(StrEnum):
    """What kind of thing is wrong."""

    MALFORMED = "malformed"  # a line is not what the format allows
    EDITED = "edited"  # an entry is not what was signed
    MISSING = "missing"  # entries are not there
    MISPLACED = "misplaced"  # an entry or checkpoint stands where it doesn't belong
    UNCOVERED = "uncovered"  # entries that no signed checkpoint covers
    UNEXPLAINED = "unexplained"  # a payload is gone and no entry says why
    TRUNCATED = "truncated"  # the end is not there
    UNSIGNED = "unsigned"  # a checkpoint is not signed by the log's key
    FORKED = "forked"  # the log's key signed two histories


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong; `index` is the first entry that it may concern, None for the whole file."""

    fault: Fault
    index: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found; `is_whole` only if nothing at all is wrong."""

    entries: int
    redacted: int
    checkpoints: int
    newest: str | None  # the newest signed checkpoint met: if all is whole, keep it for next time
    findings: tuple[Finding, ...]

    @property
    def is_whole(self) -> bool:
        """Whether the ledger is as it was signed."""
        return not self.findings

    @property
    def first_bad_index(self) -> int | None:
        """The first entry that something is wrong with, as far as that can be told."""
        return min((f.index for f in self.findings if f.index is not None), default=None)


def verify(
    lines: Iterable[bytes], vkey: str, held: str | None = None, seen: Iterable[str] = ()
) -> Report:
    """Judge an export, read as a stream.

    `held` is the newest checkpoint kept, `seen` are others kept: the more, the better. Raises:
    NoteInvalid only for a `vkey` that is none.
    """
    audit = _Audit(VerifierKey.parse(vkey))
    for note in [*seen, *([held] if held is not None else [])]:
        audit.hold(note)
    for line in lines:
        audit.read(line)
    return audit.close()


class _Audit:
    """The reader's state while lines go by: the tree so far, and what was found."""

    def __init__(self, key: VerifierKey) -> None:
        self._key = key
        self._held: dict[int, tuple[bytes, str]] = {}
        self._evidence = Evidence()
        self._findings: list[Finding] = []
        self._is_broken = False  # places no longer fit: roots can't be compared from here on
        self._expected = 0
        self._missing: dict[str, int] = {}
        self._explained: set[str] = set()
        self._redacted = self._lines = self._entries = self._checkpoints = 0
        self._newest: tuple[int, str] | None = None
        self._mismatched: list[tuple[Checkpoint, Span]] = []  # of those held
        self._digest = sha256()
        self._is_ended = False

    def hold(self, note: str) -> None:
        """Remember a checkpoint that the reader kept; the tree is compared when it gets there."""
        try:
            checkpoint = open_checkpoint(note, self._key)
        except NoteInvalid as broken:
            self._find(Fault.UNSIGNED, None, f"a checkpoint held is not this log's: {broken}")
            return
        other = self._held.setdefault(checkpoint.size, (checkpoint.root, note))
        if other[0] != checkpoint.root:
            self._find_fork(None, other[1], note)
        if checkpoint.size == 0 and checkpoint.root != merkle.EMPTY_ROOT:
            self._find(Fault.EDITED, 0, "a checkpoint held of the empty tree has another root")

    def read(self, line: bytes) -> None:
        """Take the next line."""
        self._lines += 1
        if self._is_ended:
            self._find(Fault.MALFORMED, None, f"line {self._lines} stands behind the end")
            return
        try:
            decoded = formats.decode(line)
        except LineInvalid as broken:
            self._find(Fault.MALFORMED, self._expected, f"line {self._lines}: {broken}")
            self._is_broken = True
            self._digest.update(line)
            return
        if isinstance(decoded, HeaderLine) != (self._lines == 1):
            self._find(Fault.MALFORMED, None, f"line {self._lines}: a header begins a file")
        match decoded:
            case HeaderLine():
                self._read_header(decoded)
            case EntryLine():
                self._read_entry(decoded)
            case CheckpointLine():
                self._read_checkpoint(decoded)
            case EndLine():
                self._read_end(decoded)
        self._digest.update(line)

    def close(self) -> Report:
        """Judge what only shows at the end."""
        if not self._is_ended:
            self._find(Fault.TRUNCATED, self._expected, "the file has no last line")
        covered = 0 if self._newest is None else self._newest[0]
        if self._expected > covered:
            reason = f"no signed checkpoint covers entries {covered} to {self._expected - 1}"
            self._find(Fault.UNCOVERED, covered, reason)
        longest = max(self._held, default=0)
        if longest > self._expected:
            reason = f"the checkpoint held covers {longest} entries, here are {self._expected}"
            self._find(Fault.TRUNCATED, self._expected, reason)
        for checkpoint, span in self._mismatched:
            self._judge_held(checkpoint, span, covered)
        for entry_id, index in self._missing.items():
            if entry_id not in self._explained:
                reason = (
                    f"the payload of {entry_id} is gone, and no entry says that it was redacted"
                )
                self._find(Fault.UNEXPLAINED, index, reason)
        return Report(
            entries=self._entries,
            redacted=self._redacted,
            checkpoints=self._checkpoints,
            newest=None if self._newest is None else self._newest[1],
            findings=tuple(self._findings),
        )

    def _find(self, fault: Fault, index: int | None, reason: str) -> None:
        if len(self._findings) < MAX_FINDINGS:
            self._findings.append(Finding(fault, index, reason))

    def _find_fork(self, index: int | None, one: str, other: str) -> None:
        reason = f"the log's key signed two trees of one size: {one!r} and {other!r}"
        self._find(Fault.FORKED, index, reason)

    def _read_header(self, line: HeaderLine) -> None:
        if line.vkey != str(self._key):
            self._find(Fault.MALFORMED, None, f"the file is of another log or key: {line.vkey}")

    def _read_entry(self, line: EntryLine) -> None:
        self._entries += 1
        self._check_place(line)
        self._check_content(line)
        if not self._is_broken:
            is_complete = len(line.nodes) == merkle.count_completed(line.index)
            self._evidence.add(line.nodes if is_complete else [line.leaf.hash().hex()])
            self._compare_held()

    def _check_place(self, line: EntryLine) -> None:
        if line.index != self._expected:
            self._is_broken = True
        if line.index > self._expected:
            reason = f"entries {self._expected} to {line.index - 1} are not where they belong"
            self._find(Fault.MISSING, self._expected, reason)
        elif line.index < self._expected:
            reason = f"entry {line.index} stands behind entry {self._expected - 1}"
            self._find(Fault.MISPLACED, line.index, reason)
        self._expected = max(self._expected, line.index + 1)

    def _check_content(self, line: EntryLine) -> None:
        content = line.leaf.hash().hex()
        if len(line.nodes) != merkle.count_completed(line.index):
            self._find(Fault.EDITED, line.index, "it has too few or too many hashes of the tree")
        if line.nodes[:1] != [content]:
            reason = f"{line.leaf.id}: its content is not what its hash in the tree was made of"
            self._find(Fault.EDITED, line.index, reason)
        if line.leaf.action == REDACTED:
            self._explained.add(line.leaf.subject)
        if line.payload is None and line.salt is None:
            self._redacted += 1
            self._missing[line.leaf.id] = line.index
        elif line.payload is None or line.salt is None:
            self._find(Fault.EDITED, line.index, f"{line.leaf.id}: half of its payload is gone")
        elif not line.leaf.opens(line.payload, line.salt):
            self._find(Fault.EDITED, line.index, f"{line.leaf.id}: its payload was altered")

    def _compare_held(self) -> None:
        size = self._evidence.size
        held = self._held.get(size)
        if held is not None and held[0] != self._evidence.root():
            checkpoint = Checkpoint(self._key.name, size, held[0])
            self._mismatched.append((checkpoint, self._evidence.locate(held[0])))

    def _judge_held(self, checkpoint: Checkpoint, span: Span, covered: int) -> None:
        if not self._is_broken and covered >= checkpoint.size:
            reason = (
                f"the key signed this history and, at {checkpoint.size} entries, the other one that"
                " is held"
            )
            self._find(Fault.FORKED, span.start, reason)
        else:
            self._find_edit(span, f"the checkpoint held of {checkpoint.size} entries")

    def _find_edit(self, span: Span, against: str) -> None:
        which = f"entry {span.start} is" if span.end - span.start == 1 else None
        which = which or f"one of the entries {span.start} to {span.end - 1} is"
        self._find(
            Fault.EDITED,
            span.start,
            f"{which} not what was signed: edited, removed, inserted or moved; {against} says so",
        )

    def _read_checkpoint(self, line: CheckpointLine) -> None:
        self._checkpoints += 1
        try:
            checkpoint = open_checkpoint(line.note, self._key)
        except NoteInvalid as broken:
            reason = f"the checkpoint on line {self._lines} is not this log's: {broken}"
            self._find(Fault.UNSIGNED, self._evidence.good_size, reason)
            return
        size = checkpoint.size
        if self._newest is not None and size <= self._newest[0]:
            self._find(Fault.MISPLACED, None, f"the checkpoint of {size} entries comes late")
            return
        self._newest = (size, line.note)
        held = self._held.get(size)
        if held is not None and held[0] != checkpoint.root:
            self._find_fork(self._evidence.good_size, held[1], line.note)
            self._mismatched = [m for m in self._mismatched if m[0].size != size]
        if size != self._expected:
            reason = f"the checkpoint of {size} entries stands behind entry {self._expected - 1}"
            self._find(Fault.MISPLACED, min(size, self._expected), reason)
            self._is_broken = True
        if not self._is_broken:
            self._compare_signed(checkpoint)

    def _compare_signed(self, checkpoint: Checkpoint) -> None:
        if checkpoint.root == self._evidence.root():
            wrong = self._evidence.accept()
            for index in wrong:
                self._find(Fault.EDITED, index, "a stored hash of the tree was altered")
            return
        span = self._evidence.locate(checkpoint.root)
        self._find_edit(span, f"the signed checkpoint of {checkpoint.size} entries")
        self._is_broken = True

    def _read_end(self, line: EndLine) -> None:
        self._is_ended = True
        counted = (self._entries, self._checkpoints)
        if (line.entries, line.checkpoints) != counted:
            reason = (
                f"the file was written with {line.entries} entries and {line.checkpoints}"
                f" checkpoints, here are {counted[0]} and {counted[1]}"
            )
            self._find(Fault.MISSING, None, reason)
        elif line.sha256 != self._digest.hexdigest():
            self._find(Fault.MALFORMED, None, "the file is not as it was written")

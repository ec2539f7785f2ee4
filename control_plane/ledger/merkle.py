"""The RFC 6962 Merkle tree over SHA-256: hashes, the growing edge, proofs and their checks.

Pure arithmetic on hashes: no table, no clock, no key. A perfect subtree is named by its `Place`:
the level above the leaves and the position within that level.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()  # RFC 6962 2.1: the hash of an empty list


class Place(NamedTuple):
    """A perfect subtree: `1 << level` leaves, the first of them `position << level`."""

    level: int
    position: int

    @property
    def last_leaf(self) -> int:
        """The leaf whose arrival completed this subtree."""
        return ((self.position + 1) << self.level) - 1


class Span(NamedTuple):
    """The leaves from `start` up to but without `end`."""

    start: int
    end: int


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf's bytes."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def _split(count: int) -> int:
    """Return the largest power of two smaller than `count`, which must be at least 2."""
    return 1 << ((count - 1).bit_length() - 1)


def list_peaks(size: int) -> list[Place]:
    """Return the perfect subtrees that a tree of `size` leaves is made of, the largest first."""
    places = []
    start = 0
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            places.append(Place(level, start >> level))
            start += 1 << level
    return places


def count_completed(index: int) -> int:
    """Return how many perfect subtrees the leaf at `index` completes, itself included."""
    return ((index + 1) & -(index + 1)).bit_length()


def fold(peaks: Sequence[bytes]) -> bytes:
    """Return the root over subtrees given from left to right."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree: all that is needed to append to it and to know its root."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if len(self.peaks) != self.size.bit_count():
            message = f"a tree of {self.size} leaves does not have {len(self.peaks)} peaks"
            raise ValueError(message)

    def root(self) -> bytes:
        """Return the root of the tree."""
        return fold(self.peaks)

    def append(self, leaf: bytes) -> tuple["Frontier", list[tuple[Place, bytes]]]:
        """Return the edge with one more leaf hash, and the subtrees it completed, leaf first."""
        peaks = list(self.peaks)
        index, level, node = self.size, 0, leaf
        completed = [(Place(0, index), leaf)]
        while index & 1:
            index, level, node = index >> 1, level + 1, node_hash(peaks.pop(), node)
            completed.append((Place(level, index), node))
        return Frontier(self.size + 1, (*peaks, node)), completed


def inclusion_spans(index: int, size: int) -> list[Span]:
    """Return whose roots prove that leaf `index` is in the tree of `size`, the sibling first."""
    if not 0 <= index < size:
        message = f"leaf {index} is not in a tree of {size}"
        raise ValueError(message)
    start, end, spans = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(start, middle))
            start = middle
    return spans[::-1]


def consistency_spans(old: int, new: int) -> list[Span]:
    """Return whose roots prove that the tree of `new` leaves begins with the tree of `old`.

    Nothing needs proving from an empty tree or between equal sizes.
    """
    if not 0 <= old <= new:
        message = f"a tree of {new} cannot begin with one of {old}"
        raise ValueError(message)
    if old in {0, new}:
        return []
    start, end, spans = 0, new, []
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(start, middle))
            start = middle
    if start:
        spans.append(Span(start, end))
    return spans[::-1]


def span_places(span: Span) -> Iterator[Place]:
    """Yield the perfect subtrees that make up a span of a proof, from left to right.

    Such a span starts at a multiple of a power of two at least as large as itself.
    """
    start = span.start
    for place in list_peaks(span.end - span.start):
        yield Place(place.level, start >> place.level)
        start += 1 << place.level


def proof_from(spans: Sequence[Span], nodes: Mapping[Place, bytes]) -> list[bytes]:
    """Return the proof's hashes, given the hashes of all subtrees that its spans need."""
    return [fold([nodes[place] for place in span_places(span)]) for span in spans]


def root_from_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes | None:
    """Return the root that an inclusion proof leads to (RFC 9162 2.1.3.2); None if malformed."""
    if not 0 <= index < size:
        return None
    position, last, root = index, size - 1, leaf
    for sibling in proof:
        if not last:
            return None
        if position & 1 or position == last:
            root = node_hash(sibling, root)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        position, last = position >> 1, last >> 1
    return None if last else root


def is_included(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows `leaf` at `index` of the tree with that size and root."""
    return root_from_inclusion(index, size, leaf, proof) == root


def is_consistent(old: tuple[int, bytes], new: tuple[int, bytes], proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that tree `new` begins with tree `old` (RFC 9162 2.1.4.2).

    Trees are given as (size, root). Everything is consistent with the empty tree.
    """
    (old_size, old_root), (new_size, new_root) = old, new
    if not 0 <= old_size <= new_size:
        return False
    if old_size in {0, new_size}:
        expected = EMPTY_ROOT if old_size == 0 else new_root
        return not proof and old_root == expected
    path = [old_root, *proof] if old_size.bit_count() == 1 else list(proof)
    roots = _roots_from_consistency(old_size, new_size, path)
    return roots == (old_root, new_root)


def _roots_from_consistency(
    old_size: int, new_size: int, path: Sequence[bytes]
) -> tuple[bytes, bytes] | None:
    if not path:
        return None
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old_root = new_root = path[0]
    for node in path[1:]:
        if not last:
            return None
        if position & 1 or position == last:
            old_root, new_root = node_hash(node, old_root), node_hash(node, new_root)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            new_root = node_hash(new_root, node)
        position, last = position >> 1, last >> 1
    return None if last else (old_root, new_root)

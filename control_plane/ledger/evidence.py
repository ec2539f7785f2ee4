"""The tree as an export claims it, kept since the last good checkpoint, to say where it breaks.

A root that differs says only that something is wrong. But the claimed hashes of inner nodes often
still lead up to the signed root; then they are what was signed, and going down from the root to
where they and the entries part names the place.
"""

from control_plane.ledger import merkle
from control_plane.ledger.merkle import Frontier, Place, Span


class Evidence:
    """Grows by one entry at a time; forgets whenever a signed root was the right one."""

    def __init__(self) -> None:
        self.good_size = 0  # up to here a signed checkpoint was right
        self._frontier = Frontier()
        self._computed: dict[Place, bytes] = {}
        self._claimed: dict[Place, bytes] = {}

    @property
    def size(self) -> int:
        """How many entries there are."""
        return self._frontier.size

    def root(self) -> bytes:
        """Return the root over the entries' claimed hashes."""
        return self._frontier.root()

    def add(self, nodes: list[str]) -> None:
        """Take an entry's hash and, if known, those of the subtrees it completed, in hex."""
        self._frontier, completed = self._frontier.append(bytes.fromhex(nodes[0]))
        self._computed.update(completed)
        claims = [bytes.fromhex(node) for node in nodes]
        self._claimed.update(
            {place: claim for (place, _), claim in zip(completed, claims, strict=False)}
        )

    def accept(self) -> list[int]:
        """Take the present size as good; return the entries whose claimed subtrees were wrong."""
        wrong = {
            place.last_leaf
            for place, node in self._computed.items()
            if self._claimed.get(place) != node
        }
        self.good_size = self.size
        peaks = dict(zip(merkle.list_peaks(self.size), self._frontier.peaks, strict=True))
        self._computed, self._claimed = dict(peaks), peaks
        return sorted(wrong)

    def locate(self, root: bytes) -> Span:
        """Return the smallest span that must hold the first entry that isn't as signed."""
        everything = Span(self.good_size, self.size)
        places = merkle.list_peaks(self.size)
        claims = [self._claimed.get(place, b"") for place in places]
        if merkle.fold(claims) != root:
            return everything
        for place, claim in zip(places, claims, strict=True):
            if claim != self._computed[place]:
                return self._descend(place, claim)
        return everything

    def _descend(self, place: Place, claim: bytes) -> Span:
        while place.level:
            children = [Place(place.level - 1, place.position * 2 + side) for side in (0, 1)]
            hashes = [self._claimed.get(child, b"") for child in children]
            if merkle.node_hash(*hashes) != claim:
                break
            differing = (
                (child, node)
                for child, node in zip(children, hashes, strict=True)
                if node != self._computed.get(child)
            )
            place, claim = next(differing)
        return Span(max(place.position << place.level, self.good_size), place.last_leaf + 1)

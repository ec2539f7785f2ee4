"""Keeps an identity source's answers for a short while.

One command of a person asks several times, and one that waits asks twice a second: without this
every question would be one to Keystone, which strains under some eighty a second. The price is
that a revoked token holds for `KEPT` more. Only a digest of each token is kept, never a refusal,
nothing beyond a token's own end, and no more answers than `MOST`.
"""

import hashlib
from collections import OrderedDict
from datetime import datetime, timedelta
from threading import Lock

from control_plane.kit import clock
from control_plane.ports.identity_source.port import IdentitySource, Verified

KEPT = timedelta(seconds=30)
MOST = 2_000  # some kilobytes each hundred; the oldest goes first


class CachedIdentitySource:
    """Another source, asked once in `KEPT` about each token; safe to use from several threads."""

    def __init__(self, source: IdentitySource, most: int = MOST) -> None:
        self._source, self._most = source, most
        self._lock = Lock()
        self._answers: OrderedDict[bytes, tuple[Verified, datetime]] = OrderedDict()

    def recall(self, token: str) -> Verified | None:
        """Return what a token said a moment ago."""
        with self._lock:
            kept = self._answers.get(_digest_of(token))
        return kept[0] if kept is not None and clock.now() < kept[1] else None

    def verify(self, token: str) -> Verified | None:
        """Return what a token says, or said a moment ago. Raises: Unavailable."""
        if (kept := self.recall(token)) is not None:  # others asked while this one waited
            return kept
        found = self._source.verify(token)  # outside of the lock: others don't wait for Keystone
        digest = _digest_of(token)
        with self._lock:
            self._answers.pop(digest, None)
            if found is not None:
                self._answers[digest] = found, min(clock.now() + KEPT, found.expires_at)
                if len(self._answers) > self._most:
                    self._answers.popitem(last=False)
        return found


def _digest_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

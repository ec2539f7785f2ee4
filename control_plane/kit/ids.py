"""Identifiers: a prefix that names the type and a UUIDv7, so that they sort by time of birth."""

import re
import secrets
import threading
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case
_RANDOM_BITS = 62
_PER_MS = 1 << 12  # parts of a millisecond that fit where the version leaves 12 bits
_MS_IN_NS = 1_000_000
ID_MAX_LENGTH = 32
ID_PATTERN = re.compile(r"[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}")


def new_id(prefix: str) -> str:
    """Return a new id such as `hst_01k…` (30 characters); `prefix` is three lower-case letters."""
    return f"{prefix}_{_base32(_uuid7())}"


def first_id_at(prefix: str, unix_s: float) -> str:
    """Return what sorts before every id drawn from this Unix time on, though it is none itself."""
    return f"{prefix}_{_base32(int(unix_s * 1000) << 80)}"


def is_id(text: str, prefix: str) -> bool:
    """Whether `text` has the form of an id of this type."""
    return text.startswith(f"{prefix}_") and ID_PATTERN.fullmatch(text) is not None


def _uuid7() -> int:
    # RFC 9562, sections 5.7 and 6.2 (method 3): 48 bits of Unix milliseconds, version, 12 bits of
    # their parts, variant, 62 random bits. Stories are told in the order of their ids.
    millis, parts = divmod(_born.next_tick(), _PER_MS)
    noise = secrets.randbits(_RANDOM_BITS)
    return (millis << 80) | (7 << 76) | (parts << 64) | (0b10 << 62) | noise


class _Births:
    """Moments that no two ids of a process share, in 4096ths of a millisecond, always later."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next_tick(self) -> int:
        with self._lock:
            now = time.time_ns() * _PER_MS // _MS_IN_NS
            self._last = max(now, self._last + 1)
            return self._last


_born = _Births()


def _base32(value: int) -> str:
    return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))

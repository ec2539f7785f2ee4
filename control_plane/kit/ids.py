"""Identifiers: a prefix that names the type and a UUIDv7, so that they sort by time of birth."""

import re
import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case
_RANDOM_BITS = 74
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
    # RFC 9562, section 5.7: 48 bits of Unix milliseconds, version, 12 random, variant, 62 random.
    noise = secrets.randbits(_RANDOM_BITS)
    high, low = noise >> 62, noise & ((1 << 62) - 1)
    millis = time.time_ns() // 1_000_000
    return (millis << 80) | (7 << 76) | (high << 64) | (0b10 << 62) | low


def _base32(value: int) -> str:
    return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))

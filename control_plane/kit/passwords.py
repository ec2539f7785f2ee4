"""Passwords: argon2id, with the same effort for a stranger as for somebody who is known."""

import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# OWASP's recommendation for argon2id: 19 MiB, two passes, one lane.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
AT_ONCE = 2  # hashes computed at the same time: each takes a core and 19 MiB
MAX_PASSWORD_LENGTH = 200
MIN_PASSWORD_LENGTH = 12  # of one that a person chooses; given ones have 16 characters


def new_password() -> str:
    """Return a password of 96 random bits, to be handed to somebody once."""
    return secrets.token_urlsafe(12)


def hash_password(password: str) -> str:
    """Return what to store of a password; slow on purpose."""
    return _HASHER.hash(password)


def is_right(stored: str | None, password: str) -> bool:
    """Whether the password is the stored one; as slow where there is none."""
    try:
        _HASHER.verify(stored or _nobodys(), password)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


@cache
def _nobodys() -> str:
    return _HASHER.hash("nobody has this password")

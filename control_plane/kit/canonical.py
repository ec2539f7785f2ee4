"""JSON in the one form that RFC 8785 gives it, so that equal values have equal digests."""

from typing import Any

import orjson
import rfc8785

_MOST = 2**53 - 1  # what every JSON reader reads back as it was


def canonical_json(value: Any) -> bytes:
    """Return the RFC 8785 form. Raises: ValueError for what is not JSON."""
    if _is_spelled_alike(value):
        try:
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError:  # half a character, or nested too deeply for it
            pass
    return rfc8785.dumps(value)


def _is_spelled_alike(value: object) -> bool:
    """Say whether the quick encoder spells this in the same way: it does, but for floats and keys.

    Floats are spelled, and keys beyond ASCII sorted, in ways of their own.
    """
    match value:
        case None | bool():
            return True
        case int():
            return type(value) is int and -_MOST <= value <= _MOST
        case str():
            return type(value) is str
        case list():
            return all(map(_is_spelled_alike, value))
        case dict():
            return all(map(_is_plain_key, value)) and all(map(_is_spelled_alike, value.values()))
        case _:
            return False


def _is_plain_key(key: object) -> bool:
    return type(key) is str and key.isascii()

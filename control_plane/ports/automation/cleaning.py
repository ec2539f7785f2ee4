"""What a play declared, made fit to be kept: pure, bounded, without secrets."""

import json
from typing import Any

from control_plane.kit.cleaning import Redaction, clean
from control_plane.ports.automation.port import RESULT_MAX

_DEPTH_MAX = 8


def clean_result(value: object, hide: Redaction) -> dict[str, Any] | None:
    """Return what a play declared, cleaned; None where it is no object or too large."""
    if not isinstance(value, dict):
        return None
    try:
        found = _clean_value(value, hide, 0)
        size = len(json.dumps(found, allow_nan=False).encode())
    except (ValueError, RecursionError):
        return None
    return found if size <= RESULT_MAX else None


def _clean_value(value: object, hide: Redaction, depth: int) -> Any:
    if depth > _DEPTH_MAX:
        raise ValueError("too deep")
    if isinstance(value, dict):
        return {
            clean(str(key), 100, hide): _clean_value(item, hide, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_clean_value(item, hide, depth + 1) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return clean(str(value), RESULT_MAX, hide)

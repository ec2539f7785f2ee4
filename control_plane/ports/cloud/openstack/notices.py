"""What a cloud's notifications tell, as pure values: which of our things something happened to.

They are hints. Anybody who shares the cloud can have things named like ours, so nothing is taken
from a notification but ids, and whoever is told looks at the cloud itself.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from control_plane.kit.ids import is_id
from control_plane.ports.cloud.openstack.machines import NEXT

MAX_BYTES = 256 * 1024  # a server's is some 4 KiB
OURS = ("hst", "ten")  # what servers, ports, volumes, and what networks and projects are named by
_NAMED = ("port", "network", "subnet", "router", "volume")
_OURS = re.compile(rf"(?:^|-)([a-z]{{3}}_[0-9a-z]{{1,40}})(?:{re.escape(NEXT)})?$")
_DONE = (".end", ".error")
_STATE_CHANGED = "compute.instance.update"


def ids_of(body: bytes) -> frozenset[str]:
    """Return our ids that a message of oslo's names as changed; none where it is of no use.

    Raises ValueError for what is no such message.
    """
    if len(body) > MAX_BYTES:
        raise ValueError(f"a message of {len(body)} bytes")
    told = _read(body)
    if "oslo.message" in told:  # messagingv2 wraps a text in a document
        told = _read(str(told["oslo.message"]))
    payload = _document(told.get("payload"))
    payload = _document(payload.get("nova_object.data", payload))
    if not _is_change(str(told.get("event_type", "")), payload):
        return frozenset()
    return frozenset(_ids(payload))


def _is_change(event: str, payload: Mapping[str, Any]) -> bool:
    """Whether something is over, or a server came into another state."""
    if event == _STATE_CHANGED:  # nova tells each write of a row by one
        before, now = payload.get("old_state"), payload.get("state")
        return before is not None and now is not None and before != now
    return event.endswith(_DONE)


def _ids(payload: Mapping[str, Any]) -> Iterator[str]:
    names = [payload.get("display_name")]
    names += [_document(payload.get(kind, {})).get("name") for kind in _NAMED]
    for name in names:
        found = _OURS.search(name[-64:]) if isinstance(name, str) else None
        if found and any(is_id(found[1], prefix) for prefix in OURS):
            yield found[1]


def _read(text: str | bytes) -> Mapping[str, Any]:
    try:
        return _document(json.loads(text))
    except RecursionError:
        raise ValueError("a document that is nested too deeply") from None


def _document(found: Any) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise ValueError("not a document")  # noqa: TRY004  # what the message says is of no value
    return found

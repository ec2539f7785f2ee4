"""How wishes and facts travel between the worker and the runner, and lie in a run's folder."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from control_plane.kit.errors import Refused
from control_plane.ports.automation.port import (
    Counts,
    EventKind,
    RunEvent,
    RunFact,
    RunSpec,
    RunState,
)
from control_plane.ports.cloud.port import Access


def spec_to_json(spec: RunSpec) -> dict[str, Any]:
    """Return a wish as JSON, with all its secrets: it goes over a socket and into no file."""
    return {**asdict(spec), "timeout": spec.timeout.total_seconds()}


def spec_from_json(value: Mapping[str, Any]) -> RunSpec:
    """Read a wish. Raises Refused (`run_malformed`); whether it may be is `port.check`'s to say."""
    texts, mappings = ("run_id", "playbook"), ("variables", "secrets")
    if not all(isinstance(value.get(name), str) for name in texts):
        raise Refused("run_malformed", field="spec")
    if not all(isinstance(value.get(name), dict) for name in mappings):
        raise Refused("run_malformed", field="spec")
    try:
        servers = [Access(**server) for server in value["servers"]]
        timeout = timedelta(seconds=float(value["timeout"]))
        return RunSpec(**{**value, "servers": servers, "timeout": timeout})
    except (TypeError, KeyError, ValueError, OverflowError):
        raise Refused("run_malformed", field="spec") from None


def wish_digest(spec: RunSpec) -> str:
    """Return the digest of all that makes two wishes the same run; secrets don't count."""
    servers = [server.server_id for server in spec.servers]
    wish = [spec.playbook, servers, spec.variables, spec.is_check]
    return hashlib.sha256(json.dumps(wish, sort_keys=True).encode()).hexdigest()


def fact_to_json(fact: RunFact) -> dict[str, Any]:
    """Return a fact as JSON."""
    return {
        **asdict(fact),
        "heartbeat_at": fact.heartbeat_at.isoformat() if fact.heartbeat_at else None,
        "events": [{**asdict(event), "at": event.at.isoformat()} for event in fact.events],
    }


def fact_from_json(value: Mapping[str, Any]) -> RunFact:
    """Read a fact."""
    beat = value["heartbeat_at"]
    return RunFact(
        run_id=value["run_id"],
        state=RunState(value["state"]),
        reason=value["reason"],
        pid=value["pid"],
        heartbeat_at=datetime.fromisoformat(beat) if beat else None,
        counts=Counts(**value["counts"]),
        result=value["result"],
        output=value["output"],
        events=tuple(_event(event) for event in value["events"]),
    )


def _event(value: Mapping[str, Any]) -> RunEvent:
    at, kind = datetime.fromisoformat(value["at"]), EventKind(value["kind"])
    return RunEvent(**{**value, "at": at, "kind": kind})

"""An automation in memory: plays are functions; honest about ids, fences, secrets and time.

A run moves when it is looked at: first it begins, then its play is asked until it is over. So a
test decides what happens between two looks.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from control_plane.kit import clock
from control_plane.kit.cleaning import Redaction
from control_plane.kit.errors import Refused
from control_plane.ports.automation.cleaning import clean_result
from control_plane.ports.automation.port import (
    Counts,
    EventKind,
    RunFact,
    RunSpec,
    RunState,
    check,
)
from control_plane.ports.automation.timeline import Timeline
from control_plane.ports.automation.wire import wish_digest
from control_plane.ports.cloud.port import Fence


@dataclass(frozen=True, slots=True)
class Played:
    """How a play ended: tasks with their outcome, what it declared, and, if it failed, why."""

    tasks: Sequence[tuple[str, EventKind]] = ()
    result: Mapping[str, Any] = field(default_factory=dict)
    failure: str = ""


Play = Callable[[RunSpec], Played | None]  # None: it is not over yet


def succeed(spec: RunSpec) -> Played:
    """Play nothing, successfully, on each server."""
    return Played([("Nothing", EventKind.OK) for _ in spec.servers])


@dataclass(slots=True)
class _Run:
    spec: RunSpec
    digest: str
    timeline: Timeline
    state: RunState = RunState.QUEUED
    reason: str = ""
    pid: int | None = None
    begun_at: datetime | None = None


class MemoryAutomation:
    """Plays by name; see `port.Automation`."""

    def __init__(self, plays: Mapping[str, Play]) -> None:
        self._plays = dict(plays)
        self._runs: dict[str, _Run] = {}
        self._counters: dict[str, int] = {}
        self._lock = threading.RLock()

    def start(self, spec: RunSpec, fence: Fence) -> None:
        """Begin a run, or adopt it."""
        check(spec)
        if spec.playbook not in self._plays:
            raise Refused("playbook_missing", playbook=spec.playbook)
        with self._lock:
            self._check_fence(fence)
            digest = wish_digest(spec)
            secrets = [spec.secrets, *(access.secrets for access in spec.servers)]
            fresh = _Run(spec, digest, Timeline(Redaction(secrets)))
            if self._runs.setdefault(spec.run_id, fresh).digest != digest:
                raise Refused("run_differs", run=spec.run_id)

    def observe(
        self,
        run_id: str,
        after_event: int = 0,
        wait: timedelta = timedelta(),  # noqa: ARG002  # nothing goes on meanwhile
    ) -> RunFact:
        """Let a run go on, and say what is known."""
        with self._lock:
            run = self._runs.get(run_id)
            if run is None:
                return RunFact(run_id, RunState.ABSENT)
            if not run.state.is_over:
                self._move(run)
            return RunFact(
                run_id=run_id,
                state=run.state,
                reason=run.reason,
                pid=run.pid,
                heartbeat_at=run.begun_at and clock.now(),
                counts=run.timeline.counts,
                result=dict(run.timeline.result),
                output=run.timeline.output,
                events=tuple(run.timeline.events[max(0, after_event) :]),
            )

    def cancel(self, run_id: str, fence: Fence) -> RunFact:
        """End a run."""
        with self._lock:
            self._check_fence(fence)
            run = self._runs.get(run_id)
            if run and not run.state.is_over:
                run.state = RunState.CANCELLED
            return self.observe(run_id)

    def forget(self, run_id: str, fence: Fence) -> None:
        """Remove all that is kept of a run that is over."""
        with self._lock:
            self._check_fence(fence)
            run = self._runs.get(run_id)
            if run and not run.state.is_over:
                raise Refused("run_not_over", run=run_id)
            self._runs.pop(run_id, None)

    def lose(self) -> None:
        """Lose what is under way, as when the runner is restarted."""
        with self._lock:
            for run in self._runs.values():
                if not run.state.is_over:
                    run.state, run.reason = RunState.LOST, "runner_restarted"

    def _check_fence(self, fence: Fence) -> None:
        if fence.counter < self._counters.get(fence.life_id, 0):
            raise Refused("stale_fence", life=fence.life_id, counter=fence.counter)
        self._counters[fence.life_id] = fence.counter

    def _move(self, run: _Run) -> None:
        if run.begun_at is None:
            run.state, run.begun_at, run.pid = RunState.RUNNING, clock.now(), len(self._runs)
            return
        if clock.now() > run.begun_at + run.spec.timeout:
            run.state, run.reason = RunState.FAILED, "timed_out"
            return
        played = self._plays[run.spec.playbook](run.spec)
        if played is not None:
            _end(run, played)


def _end(run: _Run, played: Played) -> None:
    timeline, servers = run.timeline, [access.server_id for access in run.spec.servers]
    for task, kind in played.tasks:
        about = {"task": task, "host": servers[0]}
        timeline.add(EventKind.TASK, about)
        timeline.add(kind, about)
    kinds = [kind for _, kind in played.tasks]
    changed = kinds.count(EventKind.CHANGED)
    timeline.counts = Counts(ok=kinds.count(EventKind.OK) + changed, changed=changed)
    if played.failure:
        result = {"msg": played.failure}
        timeline.take({"event": "runner_on_failed", "event_data": {"task": "Fail", "res": result}})
        timeline.counts = Counts(timeline.counts.ok, changed, failed=1)
        run.state, run.reason = RunState.FAILED, "task_failed"
        return
    found = clean_result(dict(played.result), timeline.hide)
    timeline.result = found or {}
    is_usable = found is not None
    run.state = RunState.SUCCEEDED if is_usable else RunState.FAILED
    run.reason = "" if is_usable else "result_unusable"

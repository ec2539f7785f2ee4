"""The runner's runs: queued, carried out a few at a time, watched, cancelled, lost at a crash."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from control_plane.kit import clock
from control_plane.kit.cleaning import Redaction
from control_plane.kit.errors import Refused, Unavailable
from control_plane.kit.log import get_log
from control_plane.locald.faults import Refusal
from control_plane.locald.state import Fences
from control_plane.ports.automation import execution
from control_plane.ports.automation.journal import KEPT, Journal, Record
from control_plane.ports.automation.launcher import NO_ANSWER
from control_plane.ports.automation.port import WAIT_MAX, RunFact, RunSpec, RunState, check
from control_plane.ports.automation.processes import kill_by_command, kill_tree
from control_plane.ports.automation.settings import new_arguments, new_run_data
from control_plane.ports.automation.timeline import Timeline
from control_plane.ports.automation.warm import Warm
from control_plane.ports.automation.wire import wish_digest
from control_plane.ports.cloud.port import Fence

log = get_log("runner")
AT_ONCE = 4  # two cores are busy with two; the others wait for their servers
WAITING = 256
END_S = 20.0  # for a killed run to be written down


@dataclass(slots=True)
class _Run:
    spec: RunSpec
    digest: str
    timeline: Timeline
    state: RunState = RunState.QUEUED
    reason: str = ""
    until: float = 0.0  # of the monotonic clock
    heartbeat_at: datetime | None = None
    is_cancelled: bool = False
    is_over: threading.Event = field(default_factory=threading.Event)

    @property
    def is_late(self) -> bool:
        return time.monotonic() > self.until

    @property
    def is_wanted(self) -> bool:
        return not (self.is_cancelled or self.is_late or self.timeline.is_endless)


class Runs:
    """All runs of one runner; safe to call from several threads."""

    def __init__(self, folder: Path, playbooks: Path, warm: Warm, at_once: int = AT_ONCE) -> None:
        self._journal = Journal(folder)
        self._fences = Fences(folder / "fences")
        self._playbooks, self._warm = playbooks, warm
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="run")

    def recover(self) -> None:
        """Kill what a runner before this one left, and say that its runs are lost."""
        for run_id in list(self._journal.list_ids()):
            record, leader = self._journal.read(run_id), self._journal.leader(run_id)
            if leader:
                kill_tree(leader)
            if record is None:
                self._journal.remove(run_id)
            elif not record.fact.state.is_over:
                fact = replace(record.fact, state=RunState.LOST, reason="runner_restarted")
                self._journal.tidy(run_id)
                self._journal.write(replace(record, fact=fact))
                log.warning("run_lost", run=run_id)
        strays = kill_by_command(self._warm.mark)
        log.info("runner_recovered", strays=strays)

    def start(self, spec: RunSpec, fence: Fence) -> None:
        """Queue a run, or find that it is known; see the port."""
        check(spec)
        if not self._playbook(spec).is_file():
            raise Refused("playbook_missing", playbook=spec.playbook)
        self._check_fence(fence)
        digest = wish_digest(spec)
        with self._lock:
            known = self._digest(spec.run_id)
            if known is not None:
                if known != digest:
                    raise Refused("run_differs", run=spec.run_id)
                return
            if len(self._runs) >= WAITING:
                raise Unavailable("runner_full", waiting=len(self._runs))
            secrets = [spec.secrets, *(access.secrets for access in spec.servers)]
            run = _Run(spec, digest, Timeline(Redaction(secrets)))
            self._journal.begin(Record(digest, self._fact(run)))
            self._runs[spec.run_id] = run
        self._pool.submit(self._carry_out, run).add_done_callback(_tell)

    def observe(self, run_id: str, after_event: int = 0, wait: timedelta = timedelta()) -> RunFact:
        """Say what is known of a run; see the port."""
        run = self._runs.get(run_id)
        if run and run.state is RunState.RUNNING:
            run.is_over.wait(min(wait, WAIT_MAX).total_seconds())
        with self._lock:
            run = self._runs.get(run_id)
            fact = self._fact(run) if run else None
        if fact is None:
            record = self._journal.read(run_id)
            fact = record.fact if record else RunFact(run_id, RunState.ABSENT)
        return replace(fact, events=fact.events[max(0, after_event) :])

    def cancel(self, run_id: str, fence: Fence) -> RunFact:
        """End a run and return when all of it is dead; see the port."""
        self._check_fence(fence)
        with self._lock:
            run = self._runs.get(run_id)
            if run:
                run.is_cancelled = True
                if run.state is RunState.QUEUED:
                    self._end(run, RunState.CANCELLED, "")
        if run:
            self._kill(run)
            if not run.is_over.wait(END_S):
                raise Unavailable("run_still_ending", run=run_id)
        return self.observe(run_id)

    def forget(self, run_id: str, fence: Fence) -> None:
        """Remove what is kept of a run that is over; see the port."""
        self._check_fence(fence)
        with self._lock:
            if run_id in self._runs:
                raise Refused("run_not_over", run=run_id)
            self._journal.remove(run_id)

    def stop(self) -> None:
        """Take up no run any more and kill those that are under way."""
        with self._lock:
            running = list(self._runs.values())
            for run in running:
                run.is_cancelled = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        for run in running:
            self._kill(run)

    def _playbook(self, spec: RunSpec) -> Path:
        return self._playbooks / f"{spec.playbook}.yml"

    def _check_fence(self, fence: Fence) -> None:
        try:
            self._fences.check(fence.life_id, fence.counter)
        except Refusal as refusal:
            raise Refused(refusal.code, **refusal.facts) from None

    def _digest(self, run_id: str) -> str | None:
        run = self._runs.get(run_id)
        if run:
            return run.digest
        record = self._journal.read(run_id)
        return record.digest if record else None

    def _fact(self, run: _Run) -> RunFact:
        leader = self._journal.leader(run.spec.run_id)
        if leader and leader.is_alive:
            run.heartbeat_at = clock.now()
        timeline = run.timeline
        return RunFact(
            run_id=run.spec.run_id,
            state=run.state,
            reason=run.reason,
            pid=leader.pid if leader else None,
            heartbeat_at=run.heartbeat_at,
            counts=timeline.counts,
            result=dict(timeline.result),
            output=timeline.output,
            events=tuple(timeline.events),
        )

    def _carry_out(self, run: _Run) -> None:
        with self._lock:
            if run.state is not RunState.QUEUED:
                return
            run.state, run.heartbeat_at = RunState.RUNNING, clock.now()
            run.until = time.monotonic() + run.spec.timeout.total_seconds()
            self._journal.write(Record(run.digest, self._fact(run)))
        state, reason = RunState.FAILED, "runner_failed"
        try:
            code = self._play(run) if run.is_wanted else 0
            self._kill(run)
            if code == NO_ANSWER:
                self._warm.sweep()  # its leader may have been killed, and left it behind
            state, reason = _outcome(run, code)
        finally:
            with self._lock:
                self._end(run, state, reason)
        log.info("run_ended", run=run.spec.run_id, state=state, reason=reason)

    def _play(self, run: _Run) -> int:
        run_id = run.spec.run_id
        self._warm.hand_over(run_id, new_run_data(run.spec))
        order = execution.Order(
            run_id=run_id,
            folder=self._journal.folder(run_id),
            playbook=self._playbook(run.spec),
            options=tuple(new_arguments(run.spec)),
            program=self._warm.program(run_id),
        )
        watch = execution.Watch(run.timeline.take, lambda: run.is_wanted)
        return execution.run(order, watch)

    def _kill(self, run: _Run) -> None:
        leader = self._journal.leader(run.spec.run_id)
        if leader and not kill_tree(leader):
            log.error("run_not_killed", run=run.spec.run_id, pid=leader.pid)

    def _end(self, run: _Run, state: RunState, reason: str) -> None:
        """Write down how a run ended; the caller holds the lock."""
        fact = replace(self._fact(run), state=state, reason=reason)
        run.state, run.reason = state, reason
        if state is RunState.SUCCEEDED:
            self._journal.keep_packed(run.spec.run_id)
        self._journal.tidy(run.spec.run_id)
        self._journal.write(Record(run.digest, fact))
        del self._runs[run.spec.run_id]
        run.is_over.set()
        ended = [one for one in self._journal.list_ids() if one not in self._runs]
        for run_id in ended[: max(0, len(ended) - KEPT)]:
            self._journal.remove(run_id)


def _outcome(run: _Run, code: int) -> tuple[RunState, str]:
    timeline = run.timeline
    if run.is_cancelled:
        return RunState.CANCELLED, ""
    if timeline.is_endless:
        return RunState.FAILED, "output_endless"
    if run.is_late:
        return RunState.FAILED, "timed_out"
    if code == 0 and timeline.reason != "result_unusable":
        return RunState.SUCCEEDED, ""
    return RunState.FAILED, timeline.reason or "runner_failed"


def _tell(done: "Future[None]") -> None:
    if not done.cancelled() and (error := done.exception()):
        log.error("run_crashed", exc_info=error)

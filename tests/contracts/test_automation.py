"""What every automation keeps: one suite, memory and a real runner with real servers."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Protocol

import pytest

from control_plane.kit.errors import Refused
from control_plane.kit.ids import is_id, new_id
from control_plane.ports.automation.memory import MemoryAutomation, Play, Played, succeed
from control_plane.ports.automation.port import (
    OUTPUT_MAX,
    RESULT_MAX,
    SECRETS_MAX,
    VARIABLES_MAX,
    Automation,
    Counts,
    EventKind,
    RunFact,
    RunSpec,
    RunState,
)
from control_plane.ports.cloud.port import Access, Fence
from tests.automation.world import RunnerWorld, running_runner, until_over
from tests.waiting import wait_until

WORD = "k7'\"$&\\\t ن–secret"
SECOND = timedelta(seconds=1)


class World(Protocol):
    """An automation, and servers that it may command."""

    @property
    def automation(self) -> Automation: ...

    def an_access(self, run_id: str) -> Access: ...


def _changes(state: dict[str, str]) -> Play:
    def play(spec: RunSpec) -> Played:
        said = str(spec.variables["said"])
        is_new = state.get("said") != said
        if not spec.is_check:
            state["said"] = said
        return Played([("Write", EventKind.CHANGED if is_new else EventKind.OK)])

    return play


def _secret(spec: RunSpec) -> Played:
    word = str(spec.secrets["word"])
    result = {"digest": hashlib.sha256(word.encode()).hexdigest(), "leak": word}
    is_leaking = spec.variables.get("leak")
    return Played(result=result, failure=f"the word is {word}" if is_leaking else "")


def _echo(spec: RunSpec) -> Played:
    result = {"said": spec.variables["said"], "servers": len(spec.servers)}
    return Played([("Declare", EventKind.OK)], result)


@dataclass
class Memory:
    state: dict[str, str] = field(default_factory=dict)
    automation: MemoryAutomation = field(init=False)

    def __post_init__(self) -> None:
        plays: dict[str, Play] = {
            "hosting_nothing": succeed,
            "hosting_echo": _echo,
            "hosting_fails": lambda spec: Played(failure=str(spec.variables["said"])),
            "hosting_changes": _changes(self.state),
            "hosting_sleeps": lambda _: None,
            "hosting_secret": _secret,
        }
        self.automation = MemoryAutomation(plays)

    def an_access(self, run_id: str) -> Access:
        return Access(new_id("hst"), {}, {"ticket": f"ticket of {run_id}"})


@dataclass
class Ansible:
    world: RunnerWorld
    server_id: str

    @property
    def automation(self) -> Automation:
        return self.world.automation

    def an_access(self, run_id: str) -> Access:
        return self.world.open_run(run_id, self.server_id)


@contextmanager
def memory_world() -> Iterator[World]:
    yield Memory()


@contextmanager
def ansible_world() -> Iterator[World]:
    with running_runner() as world:
        yield Ansible(world, world.locald.a_running_server().server_id)


WORLDS = [
    pytest.param(memory_world, id="memory"),
    pytest.param(ansible_world, id="ansible", marks=pytest.mark.root),
]


@pytest.fixture(scope="module", params=WORLDS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    make: Callable[[], AbstractContextManager[World]] = request.param
    with make() as found:
        yield found


@dataclass
class Stage:
    """Runs of one life."""

    world: World
    fence: Fence = field(default_factory=lambda: Fence(new_id("lif"), 7))
    specs: list[RunSpec] = field(default_factory=list)

    @property
    def automation(self) -> Automation:
        return self.world.automation

    def a_spec(self, playbook: str = "hosting_nothing", **fields: Any) -> RunSpec:
        run_id = new_id("run")
        spec = RunSpec(run_id, playbook, [self.world.an_access(run_id)], **fields)
        self.specs.append(spec)
        return spec

    def start(self, playbook: str = "hosting_nothing", **fields: Any) -> str:
        spec = self.a_spec(playbook, **fields)
        self.automation.start(spec, self.fence)
        return spec.run_id

    def run(self, playbook: str = "hosting_nothing", **fields: Any) -> RunFact:
        return until_over(self.automation, self.start(playbook, **fields))

    def until_running(self, run_id: str) -> RunFact:
        wait_until(lambda: self.automation.observe(run_id).pid is not None)
        return self.automation.observe(run_id)


@pytest.fixture
def stage(world: World) -> Iterator[Stage]:
    found = Stage(world)
    yield found
    newest = Fence(found.fence.life_id, 1_000)
    for spec in found.specs:
        world.automation.cancel(spec.run_id, newest)
        world.automation.forget(spec.run_id, newest)


def test_a_run_succeeds_and_tells_what_it_did(stage: Stage) -> None:
    fact = stage.run("hosting_echo", variables={"said": "سلام"})
    assert (fact.state, fact.reason, fact.counts) == (RunState.SUCCEEDED, "", Counts(ok=1))
    assert fact.result == {"said": "سلام", "servers": 1}
    assert [(e.number, e.kind, e.task) for e in fact.events] == [
        (1, EventKind.TASK, "Declare"),
        (2, EventKind.OK, "Declare"),
    ]
    assert fact.events[1].server_id == stage.specs[0].servers[0].server_id


def test_a_run_that_was_never_started_is_absent(stage: Stage) -> None:
    fact = stage.automation.observe(new_id("run"))
    assert (fact.state, fact.events) == (RunState.ABSENT, ())


def test_a_run_started_again_is_the_same_run(stage: Stage) -> None:
    spec = stage.a_spec()
    for _ in range(3):
        stage.automation.start(spec, stage.fence)
    first = until_over(stage.automation, spec.run_id)
    stage.automation.start(spec, stage.fence)
    again = stage.automation.observe(spec.run_id)
    assert (again.pid, again.events) == (first.pid, first.events)


@pytest.mark.parametrize("change", [{"playbook": "hosting_fails"}, {"variables": {"said": "else"}}])
def test_a_run_never_becomes_another_one(stage: Stage, change: dict[str, Any]) -> None:
    spec = stage.a_spec("hosting_echo", variables={"said": "this"})
    stage.automation.start(spec, stage.fence)
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            stage.automation.start(replace(spec, **change), stage.fence)
        assert refused.value.code == "run_differs"
        until_over(stage.automation, spec.run_id)


def test_a_failed_task_says_what_people_need_to_read(stage: Stage) -> None:
    fact = stage.run("hosting_fails", variables={"said": "no room for قاعدة"})
    assert (fact.state, fact.reason, fact.counts) == (
        RunState.FAILED,
        "task_failed",
        Counts(failed=1),
    )
    assert "no room for قاعدة" in fact.output
    assert fact.events[-1].kind is EventKind.FAILED
    assert "no room for قاعدة" in fact.events[-1].text


@pytest.mark.parametrize(
    "name",
    ["hosting_absent", "site", "images", "../site", "hosting_../site", "hosting_x.yml", "", "/x"],
)
def test_only_installed_playbooks_of_hostings_are_run(stage: Stage, name: str) -> None:
    spec = replace(stage.a_spec(), playbook=name)
    with pytest.raises(Refused) as refused:
        stage.automation.start(spec, stage.fence)
    assert refused.value.code == "playbook_missing"
    assert stage.automation.observe(spec.run_id).state is RunState.ABSENT


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"variables": {"said": "x" * VARIABLES_MAX}}, "variables_too_large"),
        ({"variables": {"said": "ن" * (VARIABLES_MAX // 2)}}, "variables_too_large"),
        ({"secrets": {"word": "x" * SECRETS_MAX}}, "secrets_too_large"),
        ({"variables": {"ansible_connection": "local"}}, "run_malformed"),
        ({"variables": {"edubba_local_ticket": "x"}}, "run_malformed"),
        ({"variables": {"run_secrets": {}}}, "run_malformed"),
        ({"variables": {"no name": 1}}, "run_malformed"),
        ({"variables": {"said": float("nan")}}, "run_malformed"),
        ({"variables": {"said": object()}}, "run_malformed"),
        ({"servers": []}, "run_malformed"),
        ({"timeout": timedelta()}, "run_malformed"),
        ({"timeout": timedelta(days=1)}, "run_malformed"),
        ({"run_id": "../run"}, "run_malformed"),
        ({"run_id": new_id("lif")}, "run_malformed"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_and_nothing_begins(
    stage: Stage, change: dict[str, Any], code: str
) -> None:
    spec = replace(stage.a_spec("hosting_echo", variables={"said": "x"}), **change)
    with pytest.raises(Refused) as refused:
        stage.automation.start(spec, stage.fence)
    assert refused.value.code == code
    if is_id(spec.run_id, "run"):
        assert stage.automation.observe(spec.run_id).state is RunState.ABSENT


@pytest.mark.parametrize(
    "text",
    [
        "{{ run_secrets }}",
        "{{ lookup('pipe', 'id') }}",
        "{% for x in range(9) %}{{ x }}{% endfor %}",
        "{# gone #}",
        "!unsafe x: [y",
        "'; touch /tmp/x; '",
    ],
)
def test_text_of_a_request_is_never_read_as_a_template(stage: Stage, text: str) -> None:
    deep = {"list": [text], "map": {text: text}}
    assert stage.run("hosting_echo", variables={"said": text}).result["said"] == text
    assert stage.run("hosting_echo", variables={"said": deep}).result["said"] == deep


def test_a_secret_reaches_the_server_and_nobody_who_looks_at_the_run(stage: Stage) -> None:
    fact = stage.run("hosting_secret", secrets={"word": WORD}, variables={"leak": True})
    assert fact.state is RunState.FAILED
    assert "the word is" in fact.output
    fine = stage.run("hosting_secret", secrets={"word": WORD})
    assert fine.result["digest"] == hashlib.sha256(WORD.encode()).hexdigest()
    for part in ("k7'", "–secret"):
        assert part not in repr(fact) + repr(fine) + repr(stage.specs)
    ticket = next(iter(stage.specs[0].servers[0].secrets.values()))
    assert ticket not in repr(fact) + repr(stage.specs)


def test_events_are_read_on_from_where_a_reader_was(stage: Stage) -> None:
    run_id = stage.start("hosting_echo", variables={"said": "x"})
    whole = until_over(stage.automation, run_id).events
    assert stage.automation.observe(run_id, after_event=1).events == whole[1:]
    assert stage.automation.observe(run_id, after_event=99).events == ()


def test_a_run_can_be_waited_for(stage: Stage) -> None:
    run_id = stage.start("hosting_echo", variables={"said": "x"})
    stage.until_running(run_id)
    wait_until(lambda: stage.automation.observe(run_id, wait=5 * SECOND).state.is_over)
    sleeping = stage.start("hosting_sleeps")
    stage.until_running(sleeping)
    assert stage.automation.observe(sleeping, wait=SECOND).state is RunState.RUNNING


def test_a_check_says_what_would_change_and_changes_nothing(stage: Stage) -> None:
    said = {"said": new_id("run")}
    for _ in range(2):
        assert stage.run("hosting_changes", variables=said, is_check=True).counts.changed == 1
    assert stage.run("hosting_changes", variables=said).counts.changed == 1
    assert stage.run("hosting_changes", variables=said).counts.changed == 0


def test_a_running_run_shows_that_it_lives(stage: Stage) -> None:
    run_id = stage.start("hosting_sleeps")
    first = stage.until_running(run_id)
    second = stage.automation.observe(run_id)
    assert (first.state, second.state) == (RunState.RUNNING, RunState.RUNNING)
    assert first.heartbeat_at
    assert second.heartbeat_at
    assert second.heartbeat_at > first.heartbeat_at


def test_a_cancelled_run_is_over_when_cancelling_returns(stage: Stage) -> None:
    run_id = stage.start("hosting_sleeps")
    stage.until_running(run_id)
    for _ in range(2):
        assert stage.automation.cancel(run_id, stage.fence).state is RunState.CANCELLED
    assert stage.automation.observe(run_id).state is RunState.CANCELLED


def test_a_run_that_waits_is_cancelled_without_ever_beginning(stage: Stage) -> None:
    before = [stage.start("hosting_sleeps") for _ in range(3)]
    waiting = stage.start()
    assert stage.automation.cancel(waiting, stage.fence).state is RunState.CANCELLED
    assert stage.automation.observe(waiting).pid is None
    for run_id in before:
        stage.automation.cancel(run_id, stage.fence)
    assert stage.automation.observe(waiting).events == ()


def test_cancelling_what_is_over_or_unknown_changes_nothing(stage: Stage) -> None:
    run_id = stage.start()
    until_over(stage.automation, run_id)
    assert stage.automation.cancel(run_id, stage.fence).state is RunState.SUCCEEDED
    assert stage.automation.cancel(new_id("run"), stage.fence).state is RunState.ABSENT


def test_a_run_whose_time_is_up_is_ended(stage: Stage) -> None:
    fact = stage.run("hosting_sleeps", timeout=2 * SECOND)
    assert (fact.state, fact.reason) == (RunState.FAILED, "timed_out")


def test_a_forgotten_run_is_absent_and_a_running_one_is_not_forgotten(stage: Stage) -> None:
    run_id = stage.start("hosting_sleeps")
    with pytest.raises(Refused) as refused:
        stage.automation.forget(run_id, stage.fence)
    assert refused.value.code == "run_not_over"
    stage.automation.cancel(run_id, stage.fence)
    for _ in range(2):
        stage.automation.forget(run_id, stage.fence)
        assert stage.automation.observe(run_id).state is RunState.ABSENT


CHANGES: dict[str, Callable[[Automation, RunSpec, Fence], object]] = {
    "start": lambda a, s, f: a.start(s, f),
    "cancel": lambda a, s, f: a.cancel(s.run_id, f),
    "forget": lambda a, s, f: a.forget(s.run_id, f),
}


@pytest.mark.parametrize("change", CHANGES)
def test_who_has_lost_the_lease_changes_no_run(stage: Stage, change: str) -> None:
    run_id = stage.start("hosting_sleeps")
    older = replace(stage.fence, counter=stage.fence.counter - 1)
    with pytest.raises(Refused) as refused:
        CHANGES[change](stage.automation, stage.specs[0], older)
    assert refused.value.code == "stale_fence"
    assert not stage.automation.observe(run_id).state.is_over


def test_many_runs_at_once_all_end(stage: Stage) -> None:
    started = [stage.start("hosting_echo", variables={"said": number}) for number in range(6)]
    said = [until_over(stage.automation, run_id).result["said"] for run_id in started]
    assert said == list(range(6))


def test_a_result_beyond_all_measure_fails_the_run(stage: Stage) -> None:
    fact = stage.run("hosting_echo", variables={"said": ["x" * 100] * (RESULT_MAX // 100)})
    assert (fact.state, fact.reason, fact.result) == (RunState.FAILED, "result_unusable", {})


def test_a_failure_of_many_pages_is_cut(stage: Stage) -> None:
    fact = stage.run("hosting_fails", variables={"said": "z" * 50_000})
    assert fact.reason == "task_failed"
    assert len(fact.output) <= OUTPUT_MAX

"""The timeline of a run: few, short and true events, whatever a process claims to have seen."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from control_plane.kit.cleaning import Redaction
from control_plane.ports.automation.port import EVENTS_MAX, OUTPUT_MAX, TEXT_MAX, EventKind
from control_plane.ports.automation.timeline import BYTES_MAX, Timeline

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)
NAMES = [
    "playbook_on_task_start",
    "runner_on_ok",
    "runner_on_failed",
    "runner_on_unreachable",
    "runner_on_skipped",
    "playbook_on_stats",
    "warning",
    "error",
    "verbose",
]
FIELDS = ["task", "host", "res", "ignore_errors", "ok", "changed", "failures", "artifact_data"]


def a_timeline() -> Timeline:
    return Timeline(Redaction([]))


def failed(**res: Any) -> dict[str, Any]:
    return {"event": "runner_on_failed", "event_data": {"task": "T", "host": "h", "res": res}}


@given(
    st.sampled_from(NAMES),
    JSON | st.dictionaries(st.sampled_from(FIELDS), JSON),
    JSON,
)
def test_no_event_of_any_form_is_too_much(name: str, data: Any, shown: Any) -> None:
    timeline = a_timeline()
    timeline.take({"event": name, "event_data": data, "stdout": shown})
    assert all(len(event.text) <= TEXT_MAX for event in timeline.events)


def test_a_million_events_are_two_thousand_and_the_last_says_so() -> None:
    timeline = a_timeline()
    for _ in range(3 * EVENTS_MAX):
        timeline.take(failed(msg="x" * 10_000))
    assert len(timeline.events) == EVENTS_MAX
    assert timeline.events[-1].kind is EventKind.NOTICE
    assert [event.number for event in timeline.events] == list(range(1, EVENTS_MAX + 1))
    assert sum(len(event.text) for event in timeline.events) < 300_000
    assert len(timeline.output) <= OUTPUT_MAX


def test_output_without_end_is_noticed() -> None:
    timeline = a_timeline()
    line = {"event": "verbose", "stdout": "y" * (1 << 20)}
    for _ in range(BYTES_MAX >> 20):
        timeline.take(line)
    assert not timeline.is_endless
    timeline.take(line)
    assert timeline.is_endless


def test_a_failure_that_the_play_ignores_is_told_and_does_not_count() -> None:
    timeline = a_timeline()
    event = failed(msg="never mind")
    event["event_data"]["ignore_errors"] = True
    timeline.take(event)
    assert (timeline.reason, timeline.output) == ("", "")
    assert timeline.events[0].text == "never mind"


def test_a_failure_shows_all_that_was_said_and_nothing_twice() -> None:
    timeline = a_timeline()
    timeline.take(failed(msg="no", stderr="no", stdout="room", module_stderr="left"))
    assert timeline.events[0].text == "no\nleft\nroom"
    timeline.take(failed(results=[{"failed": True, "msg": "item 1"}, {"msg": "fine"}, 5]))
    assert timeline.events[1].text == "item 1"


def test_counts_are_sums_over_servers_and_believe_no_nonsense() -> None:
    timeline = a_timeline()
    stats = {"ok": {"a": 2, "b": 3}, "changed": {"a": True, "b": "9"}, "failures": [], "dark": None}
    timeline.take({"event": "playbook_on_stats", "event_data": stats})
    assert (timeline.counts.ok, timeline.counts.changed, timeline.counts.failed) == (5, 0, 0)

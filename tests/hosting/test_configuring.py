"""A server's inside comes to be by runs of a playbook: in memory, on both databases."""

from collections.abc import Sequence
from datetime import timedelta

from sqlmodel import select

from control_plane.engine import lives
from control_plane.engine.models import TimelineEvent
from control_plane.hosting.rules import LIFE, HostingStatus
from control_plane.ports.automation.port import RunState
from control_plane.ports.cloud.memory import Server
from control_plane.runs import queries as runs
from control_plane.runs.models import Run
from tests.centre import Centre
from tests.plays import HANGS, REFUSED
from tests.world import takes_settings


def runs_of(centre: Centre, hosting_id: str) -> Sequence[Run]:
    """Return the runs of a hosting, the oldest first."""
    with centre.api.db.read() as session:
        return list(reversed(runs.list_runs(session, hosting_id, None, 100).items))


def set_for(centre: Centre, hosting_id: str, **settings: str | None) -> None:
    path = f"/v1/hostings/{hosting_id}/settings"
    answer = centre.owner.request("PATCH", path, json={"settings": settings})
    assert answer.status_code == 200, answer.text


def an_application(centre: Centre) -> str:
    """Give a hosting that is active and takes settings."""
    hosting = centre.active()
    takes_settings(centre.api.db, hosting.id)
    return hosting.id


def drift_told(centre: Centre, hosting_id: str) -> list[str]:
    """Return what the hosting's story says that was mended."""
    return [str((one.facts or {})["what"]) for one in told(centre, hosting_id, "drift_seen")]


def told(centre: Centre, hosting_id: str, event: str) -> list[TimelineEvent]:
    """Return what of a kind stands in the hosting's story."""
    with centre.api.db.read() as session:
        life = lives.find_life(session, LIFE.kind, hosting_id)
        assert life is not None
        query = select(TimelineEvent).where(
            TimelineEvent.life_id == life.id, TimelineEvent.event == event
        )
        return list(session.exec(query).all())


def by_hand(server: Server) -> None:
    server.configuration = "by hand"


def test_a_server_is_configured_before_anything_is_live_on_it(centre: Centre) -> None:
    hosting = centre.active()

    [run] = runs_of(centre, hosting.id)
    assert (run.status, run.playbook) == (RunState.SUCCEEDED, "hosting_static_site")
    assert run.heartbeat_at is not None
    shown = centre.owner.get(f"/v1/runs/{run.id}").json()
    assert [event["task"] for event in shown["events"]] == ["Configure", "Configure"]
    listed = centre.owner.get(f"/v1/hostings/{hosting.id}/runs").json()
    assert [one["id"] for one in listed["items"]] == [run.id]


def test_a_setting_is_delivered_by_a_run_and_only_once(centre: Centre) -> None:
    hosting_id = an_application(centre)
    set_for(centre, hosting_id, LANGUAGE="ar")
    centre.live_on(60)

    assert [run.status for run in runs_of(centre, hosting_id)] == [RunState.SUCCEEDED] * 2
    assert "LANGUAGE" in centre.cloud.server(hosting_id).configuration
    hosting = centre.read(hosting_id)
    assert hosting.observed_generation == hosting.generation

    centre.live_on(90)
    assert len(runs_of(centre, hosting_id)) == 2


def test_what_somebody_changes_in_a_server_is_seen_told_and_put_back(centre: Centre) -> None:
    hosting = centre.active()
    wished = centre.cloud.server(hosting.id).configuration
    centre.cloud.sabotage(hosting.id, by_hand)
    centre.live_on(60)

    assert drift_told(centre, hosting.id) == ["configuration_changed"]
    assert centre.cloud.server(hosting.id).configuration == wished
    assert centre.read(hosting.id).drift is None


def test_a_service_that_does_not_run_is_seen_told_and_started(centre: Centre) -> None:
    hosting = centre.active()

    def fell(server: Server) -> None:
        server.down = ("php",)

    centre.cloud.sabotage(hosting.id, fell)
    centre.live_on(60)
    assert drift_told(centre, hosting.id) == ["service_down:php"]
    assert centre.cloud.server(hosting.id).down == ()


def test_a_play_that_fails_leaves_the_site_as_it_was_and_its_owner_reads_why(
    centre: Centre,
) -> None:
    hosting_id = an_application(centre)
    set_for(centre, hosting_id, REFUSED="Ur")
    centre.live_on(60)

    assert centre.read(hosting_id).status == HostingStatus.ACTIVE
    assert centre.front_page()
    first, *failed = runs_of(centre, hosting_id)
    assert {run.status for run in failed[:2]} == {RunState.FAILED}
    assert 2 <= len(failed) <= 8  # with longer and longer pauses
    why, *_ = told(centre, hosting_id, "configuration_failed")
    assert REFUSED in str((why.facts or {})["output"])

    set_for(centre, hosting_id, REFUSED=None, LANGUAGE="ar")
    centre.live_on(60)
    hosting = centre.read(hosting_id)
    assert runs_of(centre, hosting_id)[-1].status == RunState.SUCCEEDED
    assert (hosting.observed_generation, first.status) == (hosting.generation, "succeeded")


def test_a_run_that_was_lost_is_followed_by_another(centre: Centre) -> None:
    hosting_id = an_application(centre)
    set_for(centre, hosting_id, **{HANGS: "yes"})
    centre.settle(timedelta(seconds=15), rounds=20)
    assert runs_of(centre, hosting_id)[-1].status == RunState.RUNNING

    centre.automation.lose()
    set_for(centre, hosting_id, **{HANGS: None, "LANGUAGE": "ar"})
    centre.live_on(60)
    assert [run.status for run in runs_of(centre, hosting_id)] == [
        RunState.SUCCEEDED,
        RunState.LOST,
        RunState.SUCCEEDED,
    ]


def test_a_run_that_hangs_is_ended_and_tried_again(centre: Centre) -> None:
    hosting_id = an_application(centre)
    set_for(centre, hosting_id, **{HANGS: "yes"})
    centre.settle(timedelta(seconds=15), rounds=20)
    set_for(centre, hosting_id, **{HANGS: None, "LANGUAGE": "ar"})
    for minutes in (11, 12):
        centre.settle(timedelta(minutes=minutes))

    _, hung, after = runs_of(centre, hosting_id)
    assert (hung.status, hung.reason) == (RunState.FAILED, "timed_out")
    assert after.status == RunState.SUCCEEDED


def test_a_hosting_that_ends_while_its_run_hangs_leaves_no_run_behind(centre: Centre) -> None:
    hosting_id = an_application(centre)
    set_for(centre, hosting_id, **{HANGS: "yes"})
    centre.settle(timedelta(seconds=15), rounds=20)
    run = runs_of(centre, hosting_id)[-1]
    with centre.api.db.begin() as session:
        lives.request_ending(session, LIFE.kind, hosting_id)
    centre.live_on(20)

    assert centre.read(hosting_id).status == HostingStatus.ENDED
    assert runs_of(centre, hosting_id)[-1].status == RunState.CANCELLED
    assert centre.automation.observe(run.id).state == RunState.ABSENT

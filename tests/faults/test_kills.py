"""A worker is killed at every point of every step: its successor makes what was wished, once."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from inspect import getmembers, isfunction
from pathlib import Path

import pytest

from control_plane.kit.db import Database
from control_plane.ports.automation.port import Automation
from control_plane.ports.blobs.port import Blobs
from control_plane.ports.cloud.port import Cloud
from control_plane.ports.edge.port import Edge
from control_plane.ports.keyring.port import Keyring
from control_plane.worker import FLOWS
from tests.conftest import an_empty_database
from tests.faults.kills import Killing
from tests.faults.story import STORY

CHECKOUT = Path(__file__).parents[2]
KILLS = [sys.executable, "-m", "tests.faults.kills"]
PORTS = {
    "automation": Automation,
    "blobs": Blobs,
    "cloud": Cloud,
    "edge": Edge,
    "keyring": Keyring,
}
# What changes nothing need not be seen: whether it is called is for the steps to decide.
READS = {
    "blobs.find_missing",
    "blobs.spool",
    "keyring.ca_certificate_pem",
    "keyring.open",
    "keyring.open_sent",
    "keyring.recipient",
}
NO_STEP_USES = {
    "automation.cancel",  # of a run under way, which no scene ends with: tests/hosting sees it
    "edge.replace_routes",  # each hosting's own life sees to its route
}


@pytest.fixture
def databases(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Give an empty database for each core, of the engine that is wished."""
    with ExitStack() as made:
        lanes = range(os.cpu_count() or 1)
        yield [
            made.enter_context(an_empty_database(request)).url.render_as_string(hide_password=False)
            for _ in lanes
        ]


@pytest.fixture
def sqlite_in_memory(sqlite_db: Database) -> str:
    return str(sqlite_db.url)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("databases", "how"),
    [
        ("sqlite", "scenes"),
        ("postgresql", "ways"),  # no transaction is open around what another scene changes
        pytest.param("postgresql", "scenes", marks=pytest.mark.exhaustive),
    ],
    indirect=["databases"],
)
def test_a_worker_killed_anywhere_leaves_nothing_lost_and_nothing_doubled(
    databases: list[str], how: str, tmp_path: Path
) -> None:
    places = [tmp_path / f"{lane}.json" for lane in range(len(databases))]
    lanes = [
        subprocess.Popen(
            [*KILLS, url, str(place), str(lane), str(len(databases)), how],
            cwd=CHECKOUT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for lane, (url, place) in enumerate(zip(databases, places, strict=True))
    ]
    errors = [one.communicate()[1] for one in lanes]
    assert [one.returncode for one in lanes] == [0] * len(lanes), errors
    reports = [json.loads(place.read_text()) for place in places]
    kills = [kill for report in reports for kill in report["kills"]]
    assert [wrong for report in reports for wrong in report["wrong"]] == []
    killed = {(kill["kind"], kill["step"]) for kill in kills}
    assert killed == set(map(tuple, reports[0]["steps"]))


@pytest.mark.slow
def test_a_step_that_does_something_twice_is_found_out(
    sqlite_in_memory: str, tmp_path: Path
) -> None:
    place = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.faults.careless", sqlite_in_memory, str(place)]
    subprocess.run(command, check=True, cwd=CHECKOUT, stderr=subprocess.DEVNULL)
    wrong = json.loads(place.read_text())["wrong"]
    assert {about.rpartition(" (")[0] for about, _ in wrong} == {
        f"{STORY[0].name}: killed in edge/certify {point}"
        for point in ("after edge.ensure_certificate", "before the outcome's commit")
    }
    assert all("edge.certified" in line for _, lines in wrong for line in lines)


def test_the_story_of_the_kills_comes_to_every_step_and_every_effect(
    sqlite_in_memory: str,
) -> None:
    seen = Killing(sqlite_in_memory, killed_in=()).run()
    assert seen.wrong == []
    steps = {(flow.kind, step) for flow in FLOWS for step in flow.steps}
    assert steps - seen.steps == set()
    verbs = {
        f"{name}.{verb}"
        for name, port in PORTS.items()
        for verb, _ in getmembers(port, isfunction)
        if not verb.startswith("_")
    }
    assert verbs - seen.calls - READS == NO_STEP_USES

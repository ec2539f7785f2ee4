"""Workers, root daemon and runner are killed on a real machine: what was wished comes about."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.machine import Machine, a_machine

CHECKOUT = Path(__file__).parents[2]
KILLS = [sys.executable, "-m", "tests.faults.machine_kills"]
# Each kind of effect that a step has on a machine.
WHEN = ("before", "after")
KINDS = {
    *(f"{when} the {whose}'s commit" for when in WHEN for whose in ("claim", "outcome")),
    *(f"after cloud.{verb}" for verb in ("ensure_tenant", "ensure_server", "put_blobs")),
    *(f"after cloud.{verb}_release" for verb in ("assemble", "switch")),
    *(f"after cloud.{verb}" for verb in ("prune_releases", "stop_server", "destroy_server")),
    *(f"after cloud.{verb}_run" for verb in ("open", "close")),
    *(f"after automation.{verb}" for verb in ("start", "forget")),
    "after cloud.destroy_tenant",
    *(f"after edge.{verb}" for verb in ("ensure_certificate", "ensure_route", "remove_route")),
    *(f"after blobs.{verb}" for verb in ("put", "retire", "restore", "delete")),
    *(f"after keyring.{verb}" for verb in ("issue_certificate", "sign_checkpoint")),
}


@pytest.fixture
def machine() -> Iterator[Machine]:
    with a_machine() as machine:
        yield machine


def killed(machine: Machine, place: Path, how: str) -> Any:
    done = subprocess.run(
        [*KILLS, str(place), how],
        cwd=CHECKOUT,
        env=machine.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(place.read_text())


@pytest.mark.root
@pytest.mark.timeout(600)
def test_a_kill_of_each_kind_is_overcome_by_real_tenants(machine: Machine, tmp_path: Path) -> None:
    report = killed(machine, tmp_path / "report.json", "kinds")
    assert report["wrong"] == []
    assert KINDS - set(report["workers"]) == set()
    assert len(report["daemons"]) > 8
    assert {"before automation.start", "before automation.observe"} <= set(report["runners"])


@pytest.mark.root
@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
def test_every_kill_there_is_is_overcome_by_real_tenants(machine: Machine, tmp_path: Path) -> None:
    report = killed(machine, tmp_path / "report.json", "all")
    assert report["wrong"] == []
    assert KINDS - set(report["workers"]) == set()

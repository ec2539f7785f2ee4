"""The development cloud stands beside others, is changed by nothing twice, and leaves nothing."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.stories import traces

CHECKOUT = Path(__file__).parents[2]
NAME = "dctest"
ENVIRONMENT = {
    **os.environ,
    "EDUBBA_DEVCLOUD": NAME,
    "EDUBBA_DEVCLOUD_LINK": "198.51.100.8/30",
    "EDUBBA_DEVCLOUD_FLOATING": "198.51.100.64/26",
}
ROUTE = ["ip", "-json", "route", "show", "198.51.100.64/26"]

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.cloud, pytest.mark.timeout(1800)]


def make(target: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", target, "TIER=fast"],
        cwd=CHECKOUT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def others() -> list[str]:
    """Return the host's network devices before there is a cloud of ours."""
    return sorted(list_devices())


@pytest.fixture(scope="module")
def cloud(others: list[str]) -> Iterator[Path]:
    try:
        done = make("devcloud")
        assert done.returncode == 0, done.stdout + done.stderr
        yield Path("/etc") / NAME
    finally:
        assert make("devcloud-clean").returncode == 0
    assert traces.list_all(NAME) == []


def list_devices() -> list[str]:
    return [path.name for path in Path("/sys/class/net").iterdir()]


def test_the_host_gets_a_link_and_a_route_and_nothing_else(cloud: Path, others: list[str]) -> None:
    assert set(list_devices()) - set(others) == {f"{NAME}-link"}
    done = subprocess.run(ROUTE, capture_output=True, check=True)
    assert [route["dev"] for route in json.loads(done.stdout)] == [f"{NAME}-link"]
    assert traces.list_mounts(NAME) == []
    assert traces.list_namespaces(NAME) == []
    assert traces.list_rules(NAME) == []


def test_only_root_reads_what_opens_the_cloud(cloud: Path) -> None:
    for path in (cloud / "clouds.yaml", *(cloud / "secrets").iterdir()):
        assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (0, 0o600)
    entries = yaml.safe_load((cloud / "clouds.yaml").read_text())["clouds"]
    assert set(entries) == {"devcloud-admin", "edubba"}
    assert entries["edubba"]["auth"]["password"] != entries["devcloud-admin"]["auth"]["password"]


def test_a_second_make_devcloud_changes_nothing(cloud: Path) -> None:
    assert make("devcloud").returncode == 0
    log = (Path("/var/log") / NAME / "bootstrap.log").read_text()
    assert "changed=0 " in [line for line in log.splitlines() if "changed=" in line][-1]


def test_a_service_that_ends_takes_the_cloud_with_it_and_says_why(cloud: Path) -> None:
    memcached = [p for p in traces.list_commands("memcached") if "198.51.100.10" in p]
    assert len(memcached) == 1
    os.kill(int(memcached[0].split()[0]), 9)
    status = Path("/run") / NAME / "status.json"
    subprocess.run(
        ["timeout", "60", "sh", "-c", f"until grep -q memcached {status}; do sleep 0.2; done"],
        check=True,
    )
    assert "memcached ended with status -9" in json.loads(status.read_text())["reason"]


def test_the_next_make_devcloud_starts_it_again_and_down_leaves_nothing(
    cloud: Path, others: list[str]
) -> None:
    assert make("devcloud").returncode == 0
    assert make("devcloud-down").returncode == 0
    assert traces.list_running(NAME) == []
    assert set(list_devices()) <= set(others)

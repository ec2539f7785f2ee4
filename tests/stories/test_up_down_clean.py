"""What a person does first: `make up`, again, `make down`, `make clean`, on an own instance."""

import json
import os
import re
import secrets
import shutil
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import free_port
from tests.stories.traces import list_all, list_running

CHECKOUT = Path(__file__).parents[2]
SITE = CHECKOUT / "tenants" / "examples" / "health" / "site"
PORTS = {
    "EDUBBA_EDGE_HTTP_PORT": 80,
    "EDUBBA_EDGE_HTTPS_PORT": 443,
    "EDUBBA_EDGE_METRICS_PORT": 8605,
    "EDUBBA_BIND_PORT": 8600,
    "EDUBBA_WORKER_METRICS_PORT": 8601,
}

pytestmark = pytest.mark.root


@dataclass
class Machine:
    """An instance of the product beside whatever else is installed here."""

    instance: str = field(default_factory=lambda: f"t{secrets.token_hex(3)}")
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in PORTS})

    def make(self, target: str) -> list[str]:
        environment = {name: str(port) for name, port in self.ports.items()}
        done = subprocess.run(
            ["make", target],
            cwd=CHECKOUT,
            env={**os.environ, **environment, "EDUBBA_INSTANCE": self.instance},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout.strip().splitlines()

    def get(self, url: str) -> bytes:
        ca = Path("/var/lib") / self.instance / "edge" / "ca.pem"
        context = ssl.create_default_context(cafile=str(ca))
        with urllib.request.urlopen(url, context=context, timeout=10) as answer:
            body: bytes = answer.read()
            return body


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    machine = Machine()
    assert list_all(machine.instance) == []
    yield machine
    machine.make("clean")


@pytest.fixture(scope="module")
def address(machine: Machine) -> str:
    return machine.make("up")[-1]


def test_the_last_line_is_the_address_of_a_site_that_is_live(
    machine: Machine, address: str
) -> None:
    assert re.fullmatch(rf"https://[a-z0-9.-]+\.{machine.instance}\.localhost(:\d+)?/", address)
    for path in (p for p in SITE.rglob("*") if p.is_file() and p.name != "404.html"):
        served = machine.get(address + quote(str(path.relative_to(SITE))))
        assert served == path.read_bytes(), path


def test_up_again_is_quick_and_changes_nothing(machine: Machine, address: str) -> None:
    started = time.monotonic()
    again = machine.make("up")
    assert time.monotonic() - started < 30  # a busy machine; a quiet one takes 3
    assert any("nothing to set up" in line for line in again)
    assert again[-1] == address


def test_the_playbook_applied_again_changes_nothing(machine: Machine, address: str) -> None:
    (Path("/etc") / machine.instance / "applied").write_text("something else\n")
    assert machine.make("up")[-1] == address
    log = (Path("/var/log") / machine.instance / "bootstrap.log").read_text()
    recap = log.rsplit("PLAY RECAP", 1)[1].splitlines()[1]
    assert "changed=1 " in recap  # the file that this test altered
    assert "failed=0 " in recap


def test_prometheus_reads_all_processes_and_no_alert_fires(
    machine: Machine, address: str, tmp_path: Path
) -> None:
    assert address
    source = CHECKOUT / "monitoring" / "prometheus"
    shutil.copytree(source / "rules", tmp_path / "rules")
    config = (source / "prometheus.yml").read_text()
    for name, port in PORTS.items():
        config = config.replace(f"127.0.0.1:{port}", f"127.0.0.1:{machine.ports[name]}")
    config = re.sub(r"(_interval): \d+s", r"\1: 1s", config)
    (tmp_path / "prometheus.yml").write_text(config)
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        prometheus = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={tmp_path / 'prometheus.yml'}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        ask = f"http://127.0.0.1:{port}/api/v1/query?query="
        wait_for(ask + quote('sum(up{job="edubba"})'), "3")
        for metric in (
            "edubba_http_requests_total",
            "edubba_lives",
            "edubba_step_seconds_count",
            "edubba_bell_delay_seconds_count",
            "edubba_reservations",
            "edubba_ledger_unsequenced",
            "haproxy_process_uptime_seconds",
        ):
            assert query(ask + metric), metric
        assert query(ask + "edubba:bell_delay_seconds_p95:limit")
        assert query(ask + quote('ALERTS{alertstate="firing"}')) == []
    finally:
        prometheus.terminate()
        prometheus.wait(20)


def query(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(url, timeout=5) as answer:
        result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return result


def wait_for(url: str, expected: str) -> None:
    """Ask until the one value is the expected one; Prometheus itself needs a moment to start."""
    deadline = time.monotonic() + 30
    seen: object = None
    while time.monotonic() < deadline:
        try:
            seen = [row["value"][1] for row in query(url)]
        except OSError as error:
            seen = error
        if seen == [expected]:
            return
        time.sleep(0.5)  # noqa: TID251  # a foreign program is waited for
    pytest.fail(f"{url} gave {seen}")


def test_down_stops_everything_and_keeps_the_data(machine: Machine, address: str) -> None:
    machine.make("down")
    assert list_running(machine.instance) == []
    assert (Path("/var/lib") / machine.instance / "database" / "edubba.db").stat().st_size > 0
    assert machine.make("up")[-1] == address
    assert machine.get(address) == (SITE / "index.html").read_bytes()


def test_clean_leaves_no_trace(machine: Machine, address: str) -> None:
    assert address
    machine.make("clean")
    assert list_all(machine.instance) == []

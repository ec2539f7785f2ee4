"""Debian's Prometheus, configured as it ships with our rules, watches the running product."""

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from tests.ports import free_port
from tests.stories.hosted import Site
from tests.stories.installation import CHECKOUT, Installation
from tests.waiting import wait_until

pytestmark = pytest.mark.root
SHIPPED = CHECKOUT / "monitoring" / "prometheus"
METRICS = (
    "edubba_http_requests_total",
    "edubba_lives",
    "edubba_step_seconds_count",
    "edubba_bell_delay_seconds_count",
    "edubba_isolation_probes_total",
    "edubba_reservations",
    "edubba_ledger_unsequenced",
    "haproxy_process_uptime_seconds",
)


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus, asked over its API."""

    url: str

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=5) as answer:
            return json.load(answer)["data"]

    def query(self, text: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask(f"query?query={quote(text)}")["result"]
        return found

    def values(self, text: str) -> list[str]:
        return [row["value"][1] for row in self.query(text)]

    def targets(self) -> dict[str, str]:
        """Return the health of each target, by process."""
        active = self.ask("targets")["activeTargets"]
        return {target["labels"]["process"]: target["health"] for target in active}

    def is_ready(self) -> bool:
        try:
            return self.values("vector(1)") == ["1"]
        except OSError:
            return False


@contextmanager
def running(
    installation: Installation, folder: Path, change: Callable[[dict[str, Any]], None]
) -> Iterator[Prometheus]:
    """Run Prometheus as it ships, but for the ports of this installation and its haste."""
    text = re.sub(r"(_interval): \d+s", r"\1: 1s", (SHIPPED / "prometheus.yml").read_text())
    shipped = {"web": 8600, "worker_metrics": 8601, "edge_metrics": 8605}
    for name, port in shipped.items():
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{installation.ports[name]}")
    config = yaml.safe_load(text)
    change(config["scrape_configs"][0])
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    shutil.copytree(SHIPPED / "rules", folder / "rules")
    port = free_port()
    command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        prometheus = Prometheus(f"http://127.0.0.1:{port}")
        wait_until(prometheus.is_ready)
        yield prometheus
    finally:
        process.terminate()
        process.wait(20)


def by_discovery_alone(job: dict[str, Any]) -> None:
    del job["static_configs"]


def as_it_ships(job: dict[str, Any]) -> None:
    assert {"static_configs", "http_sd_configs"} <= job.keys()


ALL_UP = {"web": "up", "worker": "up", "edge": "up"}


def test_the_api_names_every_process_and_each_can_be_scraped(
    installation: Installation, tmp_path: Path
) -> None:
    with running(installation, tmp_path, by_discovery_alone) as prometheus:
        wait_until(lambda: prometheus.targets() == ALL_UP)


def test_all_figures_are_there_and_no_alert_fires(
    installation: Installation, clinic: Site, tmp_path: Path
) -> None:
    clinic.look_now()
    with running(installation, tmp_path, as_it_ships) as prometheus:
        wait_until(lambda: prometheus.targets() == ALL_UP)
        assert prometheus.values('count(up{job="edubba"})') == ["3"]
        wait_until(lambda: all(prometheus.query(metric) for metric in METRICS))
        wait_until(lambda: prometheus.query("edubba:bell_delay_seconds_p95:limit"))
        rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
        assert {rule["health"] for rule in rules} == {"ok"}
        assert prometheus.query("ALERTS") == []


def test_a_process_that_is_away_is_noticed(installation: Installation, tmp_path: Path) -> None:
    with running(installation, tmp_path, as_it_ships) as prometheus:
        wait_until(lambda: prometheus.targets() == ALL_UP)
        installation.kill("worker")
        wait_until(lambda: bool(prometheus.query('ALERTS{alertname="TargetDown"}')))
        [alert] = prometheus.query('ALERTS{alertname="TargetDown"}')
        assert alert["metric"]["process"] == "worker"

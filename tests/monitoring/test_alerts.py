"""Each alert is proved, explained and compares with a named threshold."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

MONITORING = Path(__file__).parents[2] / "monitoring"
RULES = MONITORING / "prometheus" / "rules"
SECTIONS = ("What it means", "Look", "Mend", "الخلاصة")


def load_groups(path: Path) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = yaml.safe_load(path.read_text())["groups"]
    return groups


ALERTS = {
    rule["alert"]: rule
    for path in sorted(RULES.glob("*.yml"))
    for group in load_groups(path)
    for rule in group["rules"]
    if "alert" in rule
}


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)


def test_the_configuration_is_valid() -> None:
    done = promtool("check", "config", str(MONITORING / "prometheus" / "prometheus.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_behave_as_their_tests_say() -> None:
    done = promtool("test", "rules", *map(str, (MONITORING / "prometheus" / "tests").glob("*.yml")))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_shown_firing_and_silent(name: str) -> None:
    expected: list[list[Any]] = [
        check["exp_alerts"]
        for path in (MONITORING / "prometheus" / "tests").glob("*.yml")
        for case in yaml.safe_load(path.read_text())["tests"]
        for check in case["alert_rule_test"]
        if check["alertname"] == name
    ]
    assert any(expected), "never shown firing"
    assert [] in expected, "never shown silent"


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_leads_to_a_run_book_page(name: str) -> None:
    named = MONITORING.parent / ALERTS[name]["annotations"]["runbook"]
    page = MONITORING / "runbooks" / f"{name}.md"
    assert named == page
    headings = re.findall(r"^## (.+)$", page.read_text(), flags=re.MULTILINE)
    assert tuple(headings) == SECTIONS


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_speaks_arabic_and_english(name: str) -> None:
    annotations = ALERTS[name]["annotations"]
    assert re.search(r"[؀-ۿ]", annotations["summary_ar"])
    assert not re.search(r"[؀-ۿ]", annotations["summary"])


@pytest.mark.parametrize(
    "name", sorted(set(ALERTS) - {"TargetDown"})
)  # up is 0 or 1: nothing to choose
def test_an_alert_compares_with_a_named_threshold(name: str) -> None:
    """All but one: a target is up or down, there is nothing to choose."""
    limits = {
        rule["record"] for group in load_groups(RULES / "thresholds.yml") for rule in group["rules"]
    }
    expression = ALERTS[name]["expr"]
    assert sum(limit in expression for limit in limits) == 1
    assert not re.search(r"[<>=]\s*\d", expression)


def test_no_run_book_page_is_left_without_an_alert() -> None:
    assert {page.stem for page in (MONITORING / "runbooks").glob("*.md")} == set(ALERTS)

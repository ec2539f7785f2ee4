"""The platform's role says what it takes; systemd and bash understand what it writes."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment, StrictUndefined

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"
ROLE = PLAYBOOKS / "roles" / "platform"


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


OPTIONS = load(ROLE / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
DEFAULTS = load(ROLE / "defaults" / "main.yml")


def test_each_option_has_a_default_and_a_sentence() -> None:
    assert set(OPTIONS) == set(DEFAULTS)
    assert all(option["type"] and option["description"] for option in OPTIONS.values())


@pytest.mark.parametrize("name", [n for n, value in DEFAULTS.items() if "{{" not in str(value)])
def test_the_default_that_is_told_is_the_one_that_is_used(name: str) -> None:
    assert OPTIONS[name].get("default", "") == DEFAULTS[name]


def test_no_variable_of_the_role_is_used_without_being_declared() -> None:
    sources = [p for p in ROLE.rglob("*") if p.is_file() and p.suffix in {".yml", ".j2"}]
    used = {m for p in sources for m in re.findall(r"\bplatform_[a-z_]+\b", p.read_text())}
    assert used == set(OPTIONS)


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    template = Environment(undefined=StrictUndefined, autoescape=False).from_string(  # noqa: S701
        (ROLE / "templates" / "edubba.service.j2").read_text().replace("| comment", "")
    )
    for program in ("supervisord", "supervisorctl"):
        path = tmp_path / "venv" / "bin" / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to("/bin/true")
    unit = tmp_path / "edubba.service"
    unit.write_text(
        template.render(
            ansible_managed="# by a test",
            platform_run_dir="/run/edubba",
            platform_prefix=tmp_path,
            platform_config_dir="/etc/edubba",
        )
    )
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["/", "Edubba", "toolongname", "a b", "../etc", ""])
def test_an_instance_with_a_dangerous_name_is_refused_before_anything_happens(name: str) -> None:
    environment = {**os.environ, "EDUBBA_INSTANCE": name or " "}
    before = sorted(Path("/var/log").iterdir())
    done = subprocess.run(
        ["bash", "-c", ". playbooks/phases.sh; echo went on"],
        cwd=PLAYBOOKS.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "went on" not in done.stdout
    assert "small letters" in done.stderr
    assert sorted(Path("/var/log").iterdir()) == before

"""Every role says what it takes; what it renders is understood by who reads it."""

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from jinja2 import Environment, StrictUndefined

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"
ROLES = sorted(path for path in (PLAYBOOKS / "roles").iterdir() if path.is_dir())


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) if path.is_file() else {}


def options(role: Path) -> dict[str, Any]:
    specs = load(role / "meta" / "argument_specs.yml")["argument_specs"]
    return {k: v for spec in specs.values() for k, v in spec["options"].items()}


def declarations() -> ModuleType:
    path = PLAYBOOKS / "filter_plugins" / "declarations.py"
    spec = importlib.util.spec_from_file_location("declarations", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FILTERS = declarations()


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_each_option_of_a_role_has_a_type_a_sentence_and_the_default_that_is_told(
    role: Path,
) -> None:
    defaults = load(role / "defaults" / "main.yml")
    for name, option in options(role).items():
        assert name.startswith(f"{role.name}_"), name
        assert option["type"], name
        assert option["description"].endswith("."), name
        assert option.get("required") or name in defaults, name
        if name in defaults and "{{" not in str(defaults[name]):
            assert option.get("default", "") == defaults[name], name
    assert set(defaults) <= set(options(role))


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_role_that_runs_on_servers_verifies_what_it_did(role: Path) -> None:
    if role.name == "image":
        return  # its roots run nothing; each is verified as a server
    listed = [task["name"] for task in load(role / "tasks" / "main.yml")]
    order = ["Preflight", "Install", "Configure", "Verify"]
    assert listed == [step for step in order if step in listed]
    assert "Verify" in listed


@pytest.mark.parametrize(
    ("text", "field", "numbers"),
    [
        ("*/15 * * * *", "minute", [0, 15, 30, 45]),
        ("5-59/20 * * * *", "minute", [5, 25, 45]),
        ("7/20 * * * *", "minute", [7, 27, 47]),
        ("0 0 1,15 * *", "day", [1, 15]),
        ("0 0 * * 5-7", "weekday", [0, 5, 6]),
        ("0 0 * * 0", "weekday", [0]),
        ("* * * * *", "hour", None),
    ],
)
def test_a_crontab_says_when(text: str, field: str, numbers: list[int] | None) -> None:
    assert FILTERS.parse_times(text)[field] == numbers


@pytest.mark.parametrize(
    "text",
    [
        *["", "* * * *", "60 * * * *", "* 24 * * *", "5-1 * * * *", "*/0 * * * *", "a * * * *"],
        *["* * 1 * 1", "1--2 * * * *", "* * 0 * *", "* * * 13 *"],
    ],
)
def test_times_that_never_come_are_refused(text: str) -> None:
    with pytest.raises(AnsibleFilterError):
        FILTERS.parse_times(text)


@pytest.mark.parametrize(
    "wished", [["../a"], ["a/../b"], ["."], ["a", "a/b"], ["a b"], [""], ["a//b"], ["$(x)"]]
)
def test_paths_that_lead_astray_are_refused(wished: list[str]) -> None:
    with pytest.raises(AnsibleFilterError):
        FILTERS.paths(wished)


def test_paths_are_taken_once_each() -> None:
    assert FILTERS.paths(["b/", "a/x", "b"]) == ["a/x", "b"]


def test_two_services_of_one_name_or_of_unknown_options_are_refused() -> None:
    one = {"name": "web", "command": ["true"]}
    for wished in ([one, one], [{**one, "colour": "red"}], [{**one, "name": "../web"}]):
        with pytest.raises(AnsibleFilterError):
            FILTERS.declarations(wished)


@pytest.mark.parametrize("at", ["*/10 2-4 * 1,7 1-5", "30 6 1 * *", "* * * * *"])
def test_systemd_understands_the_times_of_a_schedule(at: str) -> None:
    said = f"{FILTERS.calendar(FILTERS.parse_times(at))} Asia/Baghdad"
    done = subprocess.run(
        ["systemd-analyze", "calendar", said], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_systemd_understands_the_unit_of_a_service(tmp_path: Path) -> None:
    wished = [{"name": "web", "command": ["nginx"], "goes_first": True}]
    lines = ["0 3 * * 1 ./clean"]
    declared = FILTERS.declarations(wished, FILTERS.schedules(lines), "Asia/Baghdad")
    templates = PLAYBOOKS / "roles" / "service" / "templates"
    jinja = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701  # no HTML
    jinja.filters["comment"] = lambda text: f"# {text}"
    jinja.filters["edubba_calendar"] = FILTERS.calendar
    for name, declaration in declared.items():
        facts = {
            "ansible_managed": "by a test",
            "item": {"key": name, "value": declaration},
            "service_time_zone": "Asia/Baghdad",
            "__service_program": "/bin/true",
            "__service_mark": {"started": "a", "read": "b"},
        }
        kinds = ["service"] + ["timer"] * bool(declaration["times"])
        for kind in kinds:
            text = jinja.from_string((templates / f"unit.{kind}.j2").read_text()).render(facts)
            (tmp_path / f"hosting-{name}.{kind}").write_text(re.sub("^User=.*|^Group=.*", "", text))
        unit = tmp_path / f"hosting-{name}.{kinds[-1]}"
        argv = ["systemd-analyze", "verify", "--man=no", str(unit)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")

"""What of the development cloud can be judged without starting it."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ROLE = ROOT / "playbooks" / "roles" / "devcloud"
VARIABLES = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
BLUEPRINTS = sorted(ROOT.glob("tenants/blueprints/*/blueprint.yml"))


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.parent.name)
def test_each_size_of_a_kind_of_hosting_finds_a_flavor_that_is_not_much_larger(path: Path) -> None:
    for name, size in yaml.safe_load(path.read_text())["sizes"].items():
        wish: tuple[Any, ...] = (
            math.ceil(size["cpu_millis"] / 1000),
            size["memory_mib"],
            math.ceil(size["disk_mib"] / 1024),
        )
        flavors = VARIABLES["__devcloud_furniture"]["flavors"]
        fits = [f for f in flavors if all(has >= want for has, want in zip(f, wish, strict=True))]
        assert fits, (name, wish)
        assert min(fit[1] for fit in fits) <= 2 * size["memory_mib"], (name, wish)


def test_every_wheel_is_locked_by_digest_and_no_registry_is_named() -> None:
    lines = (ROLE / "files" / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if "==" in line]
    assert len(pins) > 100
    assert all(line.endswith("\\") for line in pins)
    assert not [line for line in lines if re.search(r"https?://|^-", line)]

"""`openstack` as a program of its own, with our plugin installed as pyproject.toml says."""

import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("openstack")


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self
        return json.loads(self.output)


@dataclass
class OpenStackClient:
    """Somebody's `openstack`: what they are logged in with is in their environment."""

    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _install(self.home / "site")

    def run(self, *arguments: str) -> Done:
        """Run a command to its end, however it ends."""
        told = {
            "HOME": str(self.home),
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": f"{self.home / 'site'}:{REPOSITORY}",
            "LANG": "C.UTF-8",
        }
        done = subprocess.run(
            [PROGRAM, *arguments],
            env=told | self.variables,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ask(self, *arguments: str) -> Any:
        """Run a command that must succeed; return its JSON."""
        return self.run(*arguments, "-f", "json").json


def _install(site: Path) -> None:
    """Write what an installer writes from the project's entry points."""
    told = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    folder = site / f"{told['name']}-{told['version']}.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"Name: {told['name']}\nVersion: {told['version']}\n"
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\n{name}")
    groups = [
        "\n".join([f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())])
        for group, entries in told["entry-points"].items()
    ]
    (folder / "entry_points.txt").write_text("\n\n".join(groups) + "\n")

"""What `make up` and `make down` do is shown in phases, and a phase that fails ends them."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
SCRIPT = """
set -euo pipefail
. "$1/playbooks/phases.sh"
act() { echo "what went before"; false; echo "all went well"; }
phase "try something" act
echo "and on it goes"
"""


@pytest.fixture
def instance() -> Iterator[str]:
    name = f"t{secrets.token_hex(3)}"
    yield name
    shutil.rmtree(Path("/var/log") / name, ignore_errors=True)


def test_a_command_that_fails_inside_a_phase_ends_it_and_shows_the_log(
    instance: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        ["bash", "-c", SCRIPT, "bash", str(CHECKOUT)],
        cwd=tmp_path,
        env={**os.environ, "EDUBBA_INSTANCE": instance},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "what went before" in done.stderr
    assert '"try something" failed' in done.stderr
    assert "all went well" not in done.stderr
    assert "and on it goes" not in done.stdout

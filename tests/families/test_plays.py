"""Each kind of hosting that has a play is tried here, on a real server."""

from pathlib import Path

from tests.images import PLAYBOOKS

HERE = Path(__file__).parent


def test_the_play_of_each_kind_of_hosting_is_tried() -> None:
    plays = {path.stem.removeprefix("hosting_") for path in PLAYBOOKS.glob("hosting_*.yml")}
    tried = {path.stem.removeprefix("test_") for path in HERE.glob("test_*.py")}
    assert plays
    assert plays <= tried, f"no tests/families/test_<kind>.py for {plays - tried}"

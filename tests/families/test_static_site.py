"""A static site goes through a play like any other kind of hosting."""

from pathlib import Path

import pytest

from control_plane.ports.automation.port import RunState
from tests.automation.world import RunnerWorld
from tests.families.world import Hosted
from tests.locald.world import SMALL

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]


@pytest.mark.parametrize("is_check", [True, False])
def test_a_play_finds_a_static_site_as_its_image_made_it(
    world: RunnerWorld, tmp_path: Path, *, is_check: bool
) -> None:
    site = Hosted(world, "static-site", tmp_path, limits=SMALL)
    fact = site.play(is_check=is_check)
    assert (fact.state, fact.counts.changed) == (RunState.SUCCEEDED, 0), fact.output
    assert fact.result == {"services": ["web"]}

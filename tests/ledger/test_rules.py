"""What the ledger says to people is complete in both languages."""

import pytest

from control_plane.kit.errors import Problem
from control_plane.kit.text import has_translation, translate
from control_plane.ledger.rules import CheckpointUnknown, EntryNotSealed, EntryUnknown


@pytest.mark.parametrize("problem", [EntryUnknown, EntryNotSealed, CheckpointUnknown])
def test_every_problem_is_told_in_arabic_too(problem: type[Problem]) -> None:
    for message in (problem.title, problem.mend):
        assert has_translation(message, "ar")
        arabic = translate(message, "ar", entry="ent_1", size=7)
        assert arabic != message
        assert "{" not in arabic

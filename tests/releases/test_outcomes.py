"""A deployment that didn't go live says in both languages why, and what its owner can do."""

import pytest

from control_plane.kit.text import has_translation
from control_plane.releases.rules import CANCELLATIONS, FAILURES, UNKNOWN_FAILURE, words_of
from control_plane.releases.schemas import OutcomeOut


@pytest.mark.parametrize("code", [*FAILURES, *CANCELLATIONS, "never_heard_of"])
def test_every_outcome_has_its_words_in_arabic_and_english(code: str) -> None:
    for message in words_of(code):
        assert has_translation(message, "ar"), message


def test_an_outcome_nobody_foresaw_still_says_its_code() -> None:
    assert words_of("never_heard_of") is UNKNOWN_FAILURE
    shown = OutcomeOut.of({"code": "never_heard_of", "output": "x"}, "en")
    assert shown.happened == "It could not be put live: never_heard_of"
    assert shown.output == "x"


def test_a_deployment_that_was_overtaken_says_by_which() -> None:
    for locale in ("ar", "en"):
        assert "7" in OutcomeOut.of({"code": "overtaken", "by": 7}, locale).happened

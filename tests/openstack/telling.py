"""What people are shown of an adapter's errors, as `edubba operations show` prints it."""

import string

from control_plane.cli.telling import EVENTS
from control_plane.kit.errors import Refused, Unavailable
from control_plane.kit.text import has_translation, translate
from control_plane.operations.rules import STOPS
from control_plane.operations.schemas import FailureOut


def shown(error: Refused | Unavailable) -> str:
    """Return what happened, in English; there is an Arabic text, and no fact is left open in it."""
    if isinstance(error, Refused):
        assert error.code in STOPS, error.code
        texts = [FailureOut.of(error.code, error.facts, locale) for locale in ("ar", "en")]
        for text in texts:
            for part in (text.happened, text.following, text.mend):
                assert part
                assert not [name for _, name, _, _ in string.Formatter().parse(part) if name], part
        assert texts[0].happened != texts[1].happened
        return f"{texts[1].happened}. {texts[1].mend}"
    assert has_translation(EVENTS[error.code], "ar")
    return f"{translate(EVENTS[error.code], 'en')} ({error.facts['why']})"

"""Words for people, in their language: one catalogue file a language, read at start.

English message ids are the texts themselves; a language that lacks one falls back to English.
"""

from functools import cache
from importlib.resources import files
from typing import Self

from babel.messages.pofile import read_po

DEFAULT_LOCALE = "ar"
LOCALES = ("ar", "en")


class Phrase(str):
    """A text with facts that is itself a fact of another one, and is translated with it.

    As a string it is the English text, so that it goes into any document as it is.
    """

    __slots__ = ("facts", "message")

    message: str
    facts: dict[str, object]

    def __new__(cls, message: str, **facts: object) -> Self:
        """Fill the English text."""
        self = super().__new__(cls, message.format_map(_Facts(facts)))
        self.message, self.facts = message, facts
        return self


def translate(message: str, locale: str, **facts: object) -> str:
    """Return `message` in the language, its `{placeholders}` filled from `facts`."""
    known = _catalogue(locale)
    said = {
        name: translate(fact.message, locale, **fact.facts) if isinstance(fact, Phrase) else fact
        for name, fact in facts.items()
    }
    return known.get(message, message).format_map(_Facts(said))


def best_locale(accept_language: str | None) -> str:
    """Choose a language from an Accept-Language header, by its order; Arabic if none fits."""
    for part in (accept_language or "").split(","):
        language = part.split(";")[0].strip().lower().split("-")[0]
        if language in LOCALES:
            return language
    return DEFAULT_LOCALE


def has_translation(message: str, locale: str) -> bool:
    """Whether the catalogue of the language has this message."""
    return locale == "en" or message in _catalogue(locale)


class _Facts(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "{" + key + "}"  # a text with a gap still says more than an exception


@cache
def _catalogue(locale: str) -> dict[str, str]:
    if locale == "en" or locale not in LOCALES:
        return {}
    source = files("control_plane.web") / "locale" / locale / "LC_MESSAGES" / "edubba.po"
    with source.open("rb") as stream:
        catalogue = read_po(stream, locale=locale)
    return {str(m.id): str(m.string) for m in catalogue if m.id and m.string and not m.fuzzy}

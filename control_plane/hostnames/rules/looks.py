"""Which letters a label may have, and which of them people mistake for each other. Pure.

A small answer to a large question: the alphabet is bounded (Latin with the letters of Turkmen,
Arabic with those of Kurdish and Persian), one script a label, and within it the folds below are
complete. They follow the idea of UTS 39's skeletons, and are stricter for Arabic, where hands and
fonts mix up what Unicode keeps apart. Nothing outside the alphabet is ever let in.
"""

from enum import StrEnum


class Script(StrEnum):
    """The scripts in which names are offered."""

    LATIN = "Latin"
    ARABIC = "Arabic"


_DIGITS = "0123456789"
_LATIN = "abcdefghijklmnopqrstuvwxyz" + "çğıöşü"
_ARABIC = "ابتثجحخدذرزسشصضطظعغفقكلمنهوي" + "ءآأؤإئةى" + "پچژڤگکڕڵۆێەھی"

_LATIN_FOLDS = {
    "0": "o",
    **dict.fromkeys("1iı", "l"),
    "ç": "c",
    "ğ": "g",
    "ö": "o",
    "ş": "s",
    "ü": "u",
}
_ARABIC_FOLDS = {
    **dict.fromkeys("آأإ", "ا"),
    **dict.fromkeys("ؤۆ", "و"),
    **dict.fromkeys("ىیێئ", "ي"),
    **dict.fromkeys("ةەھ", "ه"),
    **dict.fromkeys("ک", "ك"),
    "ڕ": "ر",
    "ڵ": "ل",
}
# Two letters that together look like one; replaced before the single ones.
_LATIN_PAIRS = (("rn", "m"), ("vv", "w"))


def script_of(label: str) -> Script | None:
    """Return the script of a label's letters; None for mixed ones or letters not offered."""
    letters = {letter for letter in label if letter not in _DIGITS and letter != "-"}
    if letters <= set(_LATIN):
        return Script.LATIN
    if letters <= set(_ARABIC):
        return Script.ARABIC
    return None


def look_of(label: str) -> str:
    """Return what a lower-case label looks like: equal for labels that people mix up."""
    if script_of(label) is Script.ARABIC:
        return "".join(_ARABIC_FOLDS.get(letter, letter) for letter in label)
    for pair, single in _LATIN_PAIRS:
        label = label.replace(pair, single)
    return "".join(_LATIN_FOLDS.get(letter, letter) for letter in label)

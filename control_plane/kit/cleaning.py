"""What comes out of a server, made fit to be kept and shown: pure, bounded, without secrets.

A tenant writes into the output of its own server whatever it likes: escape sequences that repaint
an operator's terminal, marks that turn a line's direction around, gigabytes, broken text.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

HIDDEN = "********"
SHOWN_MAX = 4096  # characters; what is longer nobody reads in a list
CUT = " …"
SECRET_MIN = 4  # characters; a shorter one stands in every second word, and protects nothing
_LOOKED_AT = 4
# ECMA-48: CSI, then OSC and other strings up to their end, then every other escape.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# Control characters but line feed and tab, marks that reorder text (UAX 9), lone surrogates,
# and what is invisible.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def strip(text: str) -> str:
    """Return text without what a terminal or a reader would obey instead of show.

    Right-to-left letters stay: only the invisible marks that reorder others go.
    """
    return _CONTROLS.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)


class Redaction:
    """Takes a run's secrets out of stripped texts, also where JSON or a shell has escaped them."""

    def __init__(self, secrets: Iterable[Any]) -> None:
        forms: set[str] = set()
        for secret in _strings(list(secrets)):
            shell = secret.replace("'", "'\"'\"'")
            forms |= {secret, shell, json.dumps(shell)[1:-1], repr(secret)[1:-1]}
            forms |= {json.dumps(secret, ensure_ascii=wide)[1:-1] for wide in (True, False)}
            forms |= set(secret.splitlines())
        known = {strip(form).strip() for form in forms}
        longest_first = sorted((f for f in known if len(f) >= SECRET_MIN), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))
        self.longest = len(longest_first[0]) if longest_first else 0

    def __call__(self, text: str) -> str:
        """Return the text with each secret hidden."""
        return self._pattern.sub(HIDDEN, text) if self.longest else text


NO_SECRETS = Redaction(())


def clean(text: str, most: int = SHOWN_MAX, hide: Redaction = NO_SECRETS) -> str:
    """Return stripped text without secrets; what is beyond `most` characters is cut."""
    looked_at = text[: _LOOKED_AT * most]  # cleaning costs time, and nobody reads further
    found = hide(strip(looked_at))
    is_cut = len(looked_at) < len(text)
    if is_cut and hide.longest:
        found = found[: -hide.longest]  # a secret may have been cut in two
    if len(found) > most or is_cut:
        return found[: max(0, most - len(CUT))] + CUT
    return found

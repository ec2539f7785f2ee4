"""The three families of errors: for people, for the engine to try again, for it to stop.

Texts are English message ids for gettext with `{fact}` placeholders; `kit.text` renders them.
"""

from typing import Any, ClassVar


class Problem(Exception):
    """Something a person asked for that can't be done; rendered as RFC 9457 problem+json.

    Subclasses live in the rooms' `rules.py` and set `code` (snake case, stable), `status`, `title`
    (what happened) and `mend` (what the reader can do); both may use the facts given on raising.
    """

    code: ClassVar[str] = "problem"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "This can't be done"
    mend: ClassVar[str] = ""

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        super().__init__(f"{self.code} {facts}")


class Unavailable(Exception):
    """The outside world did not answer, or not now: try again with back-off."""

    def __init__(self, code: str, **facts: Any) -> None:
        self.code, self.facts = code, facts
        super().__init__(f"{code} {facts}")


class Refused(Exception):
    """The outside world said no, and will say it again: stop and tell the owner.

    `code` names an entry of `control_plane.kit.text.REFUSALS`, which says what to do.
    """

    def __init__(self, code: str, **facts: Any) -> None:
        self.code, self.facts = code, facts
        super().__init__(f"{code} {facts}")

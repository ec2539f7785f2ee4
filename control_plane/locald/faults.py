"""What a request can fail with: a code, and facts that help to mend it."""

from typing import Any


class Fault(Exception):
    """The answer is no. `is_final` tells a refusal from a thing to try again."""

    is_final = True

    def __init__(self, code: str, **facts: Any) -> None:
        self.code, self.facts = code, facts
        super().__init__(f"{code} {facts}")


class Refusal(Fault):
    """It will be refused again: a malformed, stale or impossible request."""


class Trouble(Fault):
    """It may work the next time."""

    is_final = False

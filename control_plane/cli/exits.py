"""How commands end: the documented exit codes, and what ends a command before its time."""

from collections.abc import Iterator, Mapping
from enum import IntEnum
from http import HTTPStatus
from typing import Any

from control_plane.cli.terminal import tr, words
from control_plane.kit.errors import Problem


class Code(IntEnum):
    """What a pipeline can rely on; `edubba --help` lists them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_AUTHENTICATED = 3
    FORBIDDEN = 4
    NOT_FOUND = 5
    REFUSED = 6
    UNAVAILABLE = 7
    TIMED_OUT = 8
    NOT_VERIFIED = 9
    CHANGES = 10


EXPLAINED = {
    Code.OK: "done",
    Code.FAILED: "it failed",
    Code.USAGE: "the command was used wrongly",
    Code.NOT_AUTHENTICATED: "not logged in",
    Code.FORBIDDEN: "not allowed",
    Code.NOT_FOUND: "there is no such thing",
    Code.REFUSED: "refused: a rule, a quota or the present state forbids it",
    Code.UNAVAILABLE: "the platform can't be reached",
    Code.TIMED_OUT: "waited too long; what was asked for goes on",
    Code.NOT_VERIFIED: "the ledger is not what was signed",
    Code.CHANGES: "with `plan --exit-code`: there is something to ask for",
}
_BY_STATUS = {
    HTTPStatus.UNAUTHORIZED: Code.NOT_AUTHENTICATED,
    HTTPStatus.FORBIDDEN: Code.FORBIDDEN,
    HTTPStatus.NOT_FOUND: Code.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS: Code.UNAVAILABLE,
    HTTPStatus.BAD_GATEWAY: Code.UNAVAILABLE,
    HTTPStatus.SERVICE_UNAVAILABLE: Code.UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT: Code.UNAVAILABLE,
    HTTPStatus.INTERNAL_SERVER_ERROR: Code.FAILED,
}


class Stop(Exception):
    """Ends the command: `title` and `mend` are for people, the rest for programs."""

    def __init__(
        self, code: Code, reason: str, title: str, mend: str = "", /, **facts: Any
    ) -> None:
        # Positional only: a fact may be called `reason`.
        super().__init__(title)
        self.code, self.reason, self.title, self.mend, self.facts = code, reason, title, mend, facts

    def document(self) -> dict[str, Any]:
        """Return what `--json` shows of it."""
        return {
            "error": {
                "code": self.reason,
                "exit_code": int(self.code),
                "title": self.title,
                "mend": self.mend,
                "facts": self.facts,
            }
        }


def stop_of(status: int, problem: Mapping[str, Any]) -> Stop:
    """Return how a command ends to which the API answered with a problem (RFC 9457)."""
    code = _BY_STATUS.get(HTTPStatus(status), Code.REFUSED)
    return Stop(
        code,
        str(problem.get("code", f"http_{status}")),
        str(problem.get("title") or HTTPStatus(status).phrase),
        str(problem.get("mend") or ""),
        **(problem.get("facts") or {}),
    )


def lines_of(stop: Stop) -> Iterator[str]:
    """Yield what people read of it: what happened, where, and what to do."""
    yield stop.title
    for offence in stop.facts.get("offences", ()):
        yield f"  {offence['path']}: {_words_of(offence['reason'])}"
    for mistake in stop.facts.get("mistakes", ()):
        yield f"  {mistake['line']}: {words(mistake['reason'])}"
    for error in stop.facts.get("errors", ()):
        yield f"  {error.get('where', '')}: {error.get('why', '')}"
    if stop.mend:
        yield f"  {stop.mend}"


def _words_of(reason: str) -> str:
    from control_plane.releases.rules.manifest import REASONS

    return tr(REASONS.get(reason, reason))


def of_problem(problem: Problem) -> Stop:
    """Return how a command ends that found a problem by itself, without the API."""
    words = {
        "title": tr(problem.title, **problem.facts),
        "mend": tr(problem.mend, **problem.facts) if problem.mend else "",
    }
    return stop_of(problem.status, {"code": problem.code, "facts": problem.facts, **words})

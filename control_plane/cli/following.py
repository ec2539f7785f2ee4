"""Waiting with open eyes: the story of a request, hosting or deployment while it happens."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from control_plane.cli.client import Client, pause
from control_plane.cli.exits import Code, Stop
from control_plane.cli.telling import sentence_of
from control_plane.cli.terminal import note, tr

LOOK_EVERY_S = 0.5
_CLOSED = frozenset({"fulfilled", "rejected", "withdrawn", "abandoned"})
_ENDED = frozenset({"live", "superseded", "failed", "cancelled"})


class Story:
    """The events of a life, each told once, with the seconds since the first of them.

    What happened before the moment `since` (as the API says it) is not told.
    """

    def __init__(self, client: Client, path: str, since: str = "") -> None:
        self._client, self._path = client, path
        self._since = datetime.fromisoformat(since) if since else None
        self._first: datetime | None = None
        self._last = ""

    def tell(self) -> None:
        """Tell what is new."""
        headers = {"Last-Event-ID": self._last} if self._last else {}
        reply = self._client.send("GET", self._path, params={"format": "json"}, headers=headers)
        for event in reply.json()["items"]:
            self._last = event["id"]
            at = datetime.fromisoformat(event["at"])
            if self._since is None or at >= self._since:
                self._first = self._first or at
                note(f"{(at - self._first).total_seconds():7.1f} s  {sentence_of(event)}")


def follow_request(client: Client, request_id: str, timeout_s: float) -> dict[str, Any]:
    """Tell a request's story until it is closed; return it. Raises: Stop unless fulfilled."""
    begun = client.get(f"/v1/requests/{request_id}")["submitted_at"]
    story = Story(client, f"/v1/requests/{request_id}/events", begun)
    told: list[str] = []

    def look() -> dict[str, Any] | None:
        story.tell()
        request: dict[str, Any] = client.get(f"/v1/requests/{request_id}")
        if request["status"] in _CLOSED:
            story.tell()
            return request
        if request["status"] == "approved":
            require_in_service(client, request["hosting"])
        elif not told:
            told.append(request_id)
            note(tr("The request {id} waits for somebody's decision.", id=request_id))
        return None

    request = _until(look, timeout_s)
    if request["status"] != "fulfilled":
        title = tr("The request is {status}", status=tr(request["status"]))
        reasons = [decision["reason"] for decision in request["decisions"]]
        raise Stop(Code.FAILED, f"request_{request['status']}", title, "", reasons=reasons)
    return request


def follow_deployment(client: Client, deployment: dict[str, Any], timeout_s: float) -> Any:
    """Tell a deployment's story until it is live; return it. Raises: Stop if it doesn't get so."""
    told: list[str] = []
    began = time.monotonic()

    def look() -> dict[str, Any] | None:
        now: dict[str, Any] = client.get(f"/v1/deployments/{deployment['id']}")
        line = tr("Deployment {number}: {state}", number=now["number"], state=_state_of(now))
        if told[-1:] != [line]:
            told.append(line)
            note(f"{time.monotonic() - began:7.1f} s  {line}")
        if now["status"] in _ENDED:
            return now
        require_in_service(client, now["hosting"])
        return None

    ended = _until(look, timeout_s)
    if ended["status"] in {"failed", "cancelled"}:
        raise _not_live(ended)
    return ended


def _state_of(deployment: dict[str, Any]) -> str:
    progress = deployment["progress"]
    if not progress or deployment["status"] in _ENDED:
        return tr(deployment["status"])
    done = tr("{blobs} of {of_blobs} files, {bytes} of {of_bytes} bytes", **progress)
    return f"{tr(deployment['status'])}, {done}"


def _not_live(deployment: dict[str, Any]) -> Stop:
    outcome = deployment["outcome"] or {}
    return Stop(
        Code.FAILED,
        str(outcome.get("code") or f"deployment_{deployment['status']}"),
        tr(
            "Deployment {number} is {status}; what was live before still is",
            number=deployment["number"],
            status=tr(deployment["status"]),
        ),
        "\n".join(filter(None, (outcome.get(key) for key in ("happened", "output", "mend")))),
        **outcome,
    )


def follow_wish(client: Client, path: str, generation: int, timeout_s: float) -> None:
    """Wait until the hosting at `path` is as wished for then. Raises: Stop if it doesn't get so."""
    note(tr("Waiting until the server has it; `edubba run list` tells how far it is."))

    def look() -> dict[str, Any] | None:
        hosting: dict[str, Any] = client.get(path)
        if hosting["observed_generation"] >= generation:
            return hosting
        require_in_service(client, hosting["id"])
        return None

    _until(look, timeout_s)


def follow_attachment(client: Client, hosting_id: str, variable: str, timeout_s: float) -> None:
    """Wait until an application has a variable of an attachment. Raises: Stop if it doesn't."""

    def look() -> dict[str, Any] | None:
        found = client.get(f"/v1/hostings/{hosting_id}/attachments")["items"]
        for one in found:
            is_wished = one["hosting"] == hosting_id and one["detached_at"] is None
            if is_wished and one["variable"] == variable and one["status"] == "live":
                return dict(one)
        for one in found:
            require_in_service(client, one["target"])
        require_in_service(client, hosting_id)
        return None

    _until(look, timeout_s)


def require_in_service(client: Client, hosting_id: str) -> None:
    """Raise Stop if a hosting's life stopped, or its isolation failed."""
    hosting = client.get(f"/v1/hostings/{hosting_id}")
    if hosting["status"] in {"failed", "quarantined"}:
        raise Stop(
            Code.FAILED,
            f"hosting_{hosting['status']}",
            tr(
                "The hosting {name} is {status}",
                name=hosting["name"],
                status=tr(hosting["status"]),
            ),
            tr("Nothing is lost; `edubba hosting show` says why, and the data centre was told."),
            hosting=hosting_id,
        )


def _until(look: Callable[[], dict[str, Any] | None], timeout_s: float) -> dict[str, Any]:
    ends_at = time.monotonic() + timeout_s
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() >= ends_at:
            raise Stop(
                Code.TIMED_OUT,
                "timed_out",
                tr("It is not done after {seconds} seconds", seconds=round(timeout_s)),
                tr("It goes on without you; ask for it again later."),
            )
        pause(LOOK_EVERY_S)

"""The platform's API as the command line uses it: one token, patience, and problems as exits.

A POST is repeated with the same Idempotency-Key, so that trying again never does it twice.
"""

import random
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

import httpx2

from control_plane.cli import credentials
from control_plane.cli.exits import Code, Stop, stop_of
from control_plane.cli.terminal import AT_END, note, options, tr

ATTEMPTS = 6
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
AGAIN = frozenset({429, 502, 503, 504})
TIMEOUT = httpx2.Timeout(60.0, connect=10.0)
Body = Callable[[], Any]


class Client:
    """Speaks for one person to one platform; safe to use from several threads."""

    def __init__(
        self,
        url: str,
        auth: httpx2.Auth | None,
        *,
        verify: ssl.SSLContext | bool = True,
        told_by: str = "EDUBBA_URL",
    ) -> None:
        self.url, self._told_by = url, told_by
        self._http = httpx2.Client(
            base_url=url,
            timeout=TIMEOUT,
            auth=auth,
            verify=verify,
            headers={"Accept-Language": options().locale, "User-Agent": "edubba-cli"},
            trust_env=not is_loopback(url),  # a proxy of the office can't know this machine
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        """Return a document."""
        known = {name: value for name, value in query.items() if value is not None}
        return self.send("GET", path, params=known).json()

    def list_all(self, path: str, limit: int, **query: Any) -> list[Any]:
        """Return the items of all pages, at most `limit`."""
        items: list[Any] = []
        cursor = None
        while len(items) < limit:
            at_once = min(limit - len(items), 200)
            page = self.get(path, **query, limit=at_once, cursor=cursor)
            items += page["items"]
            cursor = page.get("next_cursor")
            if cursor is None:
                break
        return items

    def post(self, path: str, document: Mapping[str, Any] | None = None) -> Any:
        """Have something done once, and return the answer."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        reply = self.send("POST", path, json=document or {}, headers=headers)
        if entries := reply.headers.get("ledger-entry"):
            entry = entries.partition(",")[0]
            note(tr("Recorded; `edubba ledger receipt {entry}` proves it.", entry=entry))
        return reply.json() if reply.content else None

    def put(self, path: str, document: Mapping[str, Any], tag: str | None = None) -> Any:
        """Change something, known by its tag."""
        headers = {"If-Match": tag} if tag else {}
        return self.send("PUT", path, json=document, headers=headers).json()

    def get_tagged(self, path: str) -> tuple[Any, str | None]:
        """Return a document and its ETag, which guards a change of it."""
        reply = self.send("GET", path)
        return reply.json(), reply.headers.get("etag")

    def delete(self, path: str) -> None:
        """Remove something."""
        self.send("DELETE", path)

    def send(
        self, method: str, path: str, body: Body | None = None, **request: Any
    ) -> httpx2.Response:
        """Send until it is answered; `body` gives the content anew each time. Raises: Stop."""
        for attempt in range(1, ATTEMPTS + 1):
            content = {"content": body()} if body is not None else {}
            try:
                reply = self._http.request(method, path, **content, **request)
            except httpx2.TransportError as error:
                if attempt == ATTEMPTS:
                    raise self._unreachable(error) from error
                if attempt == 1:
                    note(tr("{url} does not answer; trying again …", url=self.url))
                _pause(attempt, None)
                continue
            if reply.status_code not in AGAIN or attempt == ATTEMPTS:
                return _checked(reply)
            _pause(attempt, reply.headers.get("retry-after"))
        raise AssertionError(ATTEMPTS)

    @contextmanager
    def stream(self, path: str) -> Iterator[Iterator[bytes]]:
        """Give the bytes of a long answer as they come."""
        try:
            with self._http.stream("GET", path) as reply:
                if not reply.is_success:
                    reply.read()
                    _checked(reply)
                yield reply.iter_bytes()
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> Stop:
        return Stop(
            Code.UNAVAILABLE,
            "unreachable",
            tr("{url} can't be reached", url=self.url),
            tr(
                "Check the address ({told_by}) and that the platform runs (edubba doctor).",
                told_by=self._told_by,
            ),
            url=self.url,
            why=str(error),
        )


class Bearer(httpx2.Auth):
    """Shows a token of ours with each request."""

    def __init__(self, token: str) -> None:
        self._shown = f"Bearer {token}"

    def auth_flow(self, request: httpx2.Request) -> Iterator[httpx2.Request]:  # type: ignore[override]
        """Show it."""
        request.headers["Authorization"] = self._shown
        yield request


def connect(*, with_token: bool = True) -> Client:
    """Return a client for the platform and the person of this command. Raises: Stop."""
    url = credentials.chosen_url(options().url)
    if not url.startswith(("https://", "http://")):
        raise Stop(Code.USAGE, "url_invalid", tr("{url} is no http(s) address", url=url))
    token = credentials.find_token(url) if with_token else None
    if token is not None:
        require_encryption(url)
    client = Client(url, Bearer(token) if token else None)
    AT_END.get().callback(client.close)
    return client


def require_encryption(url: str) -> None:
    """Refuse to show a token to another machine for everybody on the way to read. Raises: Stop."""
    if url.startswith("http://") and not is_loopback(url):
        raise Stop(
            Code.USAGE,
            "url_insecure",
            tr("A token is not sent to {url} without encryption", url=url),
            tr("Use the address that begins with https://."),
        )


def is_loopback(url: str) -> bool:
    """Whether the address is on this machine."""
    host = httpx2.URL(url).host
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def pause(seconds: float) -> None:
    """Wait: a command has nothing else to do."""
    time.sleep(seconds)  # noqa: TID251  # this is no step of a life


def _pause(attempt: int, asked: str | None) -> None:
    doubled = min(FIRST_PAUSE_S * 2 ** (attempt - 1), LONGEST_PAUSE_S)
    wished = float(asked) if asked and asked.isdecimal() else 0.0
    pause(max(min(wished, 60.0), doubled * random.uniform(0.75, 1.25)))  # noqa: S311  # no secret


def _checked(reply: httpx2.Response) -> httpx2.Response:
    if reply.is_success:
        return reply
    try:
        problem = reply.json()
    except ValueError:
        problem = {}
    raise stop_of(reply.status_code, problem if isinstance(problem, dict) else {})

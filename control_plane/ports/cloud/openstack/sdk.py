"""All that knows the OpenStack SDK: sessions, a throttle, answers told as what they are.

One user, who may manage the domain that is Edubba's, logs in to each tenant's project. Sessions
are kept for as long as the process lives, and with them tokens and the endpoints that were found.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, NoReturn

import yaml
from keystoneauth1 import exceptions as trouble
from keystoneauth1.identity.v3 import Password
from keystoneauth1.session import Session, TCPKeepAliveAdapter
from openstack.config import OpenStackConfig
from openstack.connection import Connection
from openstack.exceptions import ConfigException
from requests import PreparedRequest, Response
from requests import Session as Connections

from control_plane.kit.errors import Refused, Unavailable
from control_plane.kit.log import get_log
from control_plane.kit.metrics import CLOUD_CALLS
from control_plane.ports.cloud.breaker import Away, Breaker

log = get_log("openstack")
AT_ONCE = 8  # calls under way in a region: one client of Neutron gets 7 answers a second
TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 5.0  # three tries of TCP; what is alive takes milliseconds
COMPUTE_VERSION = "2.72"  # Stein (2019), the oldest that embeds flavors and takes no surprises
_AUTH = ("auth_url", "username", "user_id", "password", "user_domain_id", "user_domain_name")
_NOT_NOW = frozenset({408, 413, 429})
_PAGE = 1000


class Missing(Unavailable):
    """What was asked for is not there (404): gone since it was looked up, unless it is expected."""


class Conflict(Unavailable):
    """Something is there or under way already (409): the next look finds out."""


class _LockedOut(Refused):
    """The cloud lets us in nowhere, or not in this project."""


class Service:
    """One API, as one project or domain sees it; paths begin after the version.

    `let_in` is called where the cloud does not know us in a project, before it is asked once more.
    """

    def __init__(
        self, connection: Connection, name: str, api: "Api", let_in: Callable[[], None] | None
    ) -> None:
        self._connection, self._name, self._region = connection, name, api.region
        self._breaker, self._let_in = api.breaker, let_in

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Return a document. Raises Missing."""
        return self._call("GET", path, params=query)

    def post(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Make or do something. Raises Missing, Conflict."""
        return self._call("POST", path, json=document)

    def put(
        self, path: str, document: Mapping[str, Any] | None = None, revision: int | None = None
    ) -> dict[str, Any]:
        """Set something; with a revision, only if it is still that. Raises Missing, Conflict."""
        only = {} if revision is None else {"If-Match": f"revision_number={revision}"}
        return self._call("PUT", path, json=document, headers=only)

    def delete(self, path: str) -> None:
        """Remove something; nothing happens if it is gone. Raises Conflict."""
        try:
            self._call("DELETE", path)
        except Missing:
            log.debug("already_gone", service=self._name, path=path)

    def list(self, path: str, key: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield what a list holds, page by page."""
        marker: str | None = None
        while True:
            more = {"marker": marker} if marker else {}
            found = self.get(path, limit=_PAGE, **query, **more)[key]
            yield from found
            if len(found) < _PAGE:
                return
            marker = found[-1]["id"]

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            return self._ask(method, path, options)
        except _LockedOut:
            if self._let_in is None:
                raise
            log.info("project_joined_again", service=self._name)
            self._let_in()
            return self._ask(method, path, options)

    def _ask(self, method: str, path: str, options: Mapping[str, Any]) -> dict[str, Any]:
        with self._breaker.asking():
            answer = self._answer(method, path, options)
            if answer.status_code >= HTTPStatus.BAD_REQUEST:
                self._fail(answer, f"{method} {path}")
            return answer.json() if answer.content else {}

    def _answer(self, method: str, path: str, options: Mapping[str, Any]) -> Any:
        version = {"microversion": COMPUTE_VERSION} if self._name == "compute" else {}
        try:
            proxy = getattr(self._connection, self._name)  # logs in, and finds the endpoint
            answer = proxy.request(
                path, method, raise_exc=False, connect_retries=0, **version, **options
            )
        except (trouble.ClientException, ConfigException) as error:
            CLOUD_CALLS.labels(self._region, self._name, "none").inc()
            raise _told(error, self._name) from error
        CLOUD_CALLS.labels(self._region, self._name, str(answer.status_code)).inc()
        return answer

    def _fail(self, answer: Any, call: str) -> NoReturn:
        """Raise what the answer means."""
        status, why = answer.status_code, _reason(answer)
        facts = {"service": self._name, "why": why}
        if status == HTTPStatus.NOT_FOUND:
            raise Missing("cloud_changed", call=call, **facts)
        if status == HTTPStatus.UNAUTHORIZED:  # the SDK has already tried a fresh token
            raise _LockedOut("cloud_login_refused", **facts)
        if "quota" in why.lower() and status in {403, 409, 413}:
            raise Refused("cloud_quota_exceeded", **facts)
        if "No more IP addresses" in why:
            raise Refused("cloud_addresses_exhausted", **facts)
        if status == HTTPStatus.FORBIDDEN:
            self._connection.session.invalidate()  # a right that is given is in new tokens alone
            raise Refused("cloud_right_missing", call=call, **facts)
        if status in {HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED}:
            raise Conflict("cloud_changed", call=call, **facts)
        if status in _NOT_NOW or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            wait = answer.headers.get("Retry-After", "")
            raise Unavailable("cloud_busy", status=status, retry_after=wait[:20], **facts)
        raise Refused("cloud_refused", **facts)


class Api:
    """A region's APIs, for one entry of a `clouds.yaml`.

    The entry's user must be a manager of the domain that it names. Raises Refused
    (`cloud_settings_wrong`) where the file does not say enough.
    """

    def __init__(self, clouds_file: Path, cloud: str) -> None:
        self.name = cloud
        self.let_in: Callable[[str], None] = lambda _: None  # gives us a role in a project
        try:
            _check_entry(clouds_file, cloud)
            found = OpenStackConfig(config_files=[str(clouds_file)], load_envvars=False)
            self._config = found.get_one(cloud)
        except (_EntryWrong, ConfigException, trouble.ClientException) as error:
            raise Refused("cloud_settings_wrong", cloud=cloud, why=str(error)[:300]) from error
        known = self._config.auth
        self._auth: dict[str, Any] = {key: known[key] for key in _AUTH if key in known}
        self.domain_id = str(known["domain_id"])
        self.region = str(self._config.get_region_name() or "")
        self.breaker = Breaker()
        self._throttle = threading.BoundedSemaphore(AT_ONCE)
        self._discovered: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._connections: dict[str | None, Connection] = {}

    def service(self, name: str, project_id: str | None = None) -> Service:
        """Return an API (`compute`, `network` …) as a project sees it; None: as the domain does."""
        let_in = partial(self.let_in, project_id) if project_id else None
        with self._lock:
            connection = self._connections.get(project_id)
            if connection is None:
                connection = self._connect(project_id)
                self._connections[project_id] = connection
        return Service(connection, name, self, let_in)

    def forget(self, project_id: str) -> None:
        """Drop the session of a project that is gone."""
        with self._lock:
            self._connections.pop(project_id, None)

    def user_id(self) -> str:
        """Return who we are, as a token says."""
        self.service("identity")
        session = self._connections[None].session
        with self.breaker.asking():
            try:
                return str(session.get_user_id())
            except trouble.ClientException as error:
                raise _told(error, "identity") from error

    def _connect(self, project_id: str | None) -> Connection:
        scope: dict[str, Any] = (
            {"project_id": project_id} if project_id else {"domain_id": self.domain_id}
        )
        verify, certificate = self._config.get_requests_verify_args()
        session = Session(
            Password(**self._auth, **scope),
            verify=verify,
            cert=certificate,
            timeout=TIMEOUT_S,
            session=_new_connections(),
            app_name="edubba",
            discovery_cache=self._discovered,
            rate_semaphore=self._throttle,  # type: ignore[arg-type]  # what `with` binds is not used
        )
        return Connection(
            session=session,
            region_name=self.region or None,
            compute_api_version="2",
            identity_api_version="3",
            strict_proxies=False,
        )


class _SoonConnected(TCPKeepAliveAdapter):
    """Gives up on a connection long before it gives up on an answer."""

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        patience = options.get("timeout")
        options["timeout"] = (CONNECT_TIMEOUT_S, patience)
        return super().send(request, *args, **options)


def _new_connections() -> Connections:
    made = Connections()
    for scheme in list(made.adapters):
        made.mount(scheme, _SoonConnected())
    return made


class _EntryWrong(Exception):
    """An entry of a `clouds.yaml` can't be used; says why, and never what is in it."""


def _check_entry(clouds_file: Path, cloud: str) -> None:
    """See that a file can be read and has what we need. Raises _EntryWrong."""
    try:
        document = yaml.safe_load(clouds_file.read_text())
    except OSError as error:
        raise _EntryWrong(f"{clouds_file}: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _EntryWrong(f"{clouds_file} is no YAML at line {line}") from None
    except ValueError as error:
        raise _EntryWrong(f"{clouds_file} is no text in UTF-8") from error
    entry = _part(_part(document, "clouds"), cloud)
    if not entry:
        raise _EntryWrong(f"{clouds_file} has no entry {cloud}")
    auth = _part(entry, "auth")
    for names in (("auth_url",), ("username", "user_id"), ("password",), ("domain_id",)):
        if not any(auth.get(name) for name in names):
            raise _EntryWrong(f"{clouds_file} names no {' or '.join(names)} under `auth`")


def _part(document: Any, name: str) -> dict[str, Any]:
    found = document.get(name) if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}


def _reason(answer: Any) -> str:
    """Return what an error document says; each service has a form of its own."""
    try:
        document = answer.json()
    except ValueError:
        return str(answer.reason)[:300]
    if isinstance(document, dict):
        for part in (document, *(one for one in document.values() if isinstance(one, dict))):
            message = part.get("message")
            if isinstance(message, str):
                return message[:300]
    return str(document)[:300]


def _told(error: Exception, service: str) -> Exception:
    """Return what a failure to ask means."""
    facts = {"service": service, "why": str(error)[:300]}
    if isinstance(error, trouble.SSLError):
        return Away("cloud_certificate_wrong", **facts)
    if isinstance(error, trouble.Unauthorized):
        return _LockedOut("cloud_login_refused", **facts)
    if isinstance(error, (trouble.EndpointNotFound, trouble.EmptyCatalog)):
        return Refused("cloud_service_missing", **facts)
    if isinstance(error, trouble.http.Forbidden):
        return Refused("cloud_right_missing", call="login", **facts)
    return Away("cloud_not_answering", **facts)

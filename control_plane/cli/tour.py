"""The main job as `make up` shows it: an agency asks, an operator approves, all goes live.

Run by root on the machine itself: `python -m control_plane.cli.tour FOLDER`, where the folder has a
tenant.yml, the site, and an application that keeps what it counts in a database. Every step is a
command that a person could type; what is done already is left alone, and so is a hosting to which
its agency released something of its own.
"""

import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from control_plane.cli.client import pause
from control_plane.cli.credentials import DEFAULT_URL
from control_plane.hosting.rules import parse_tenant_file
from control_plane.settings import Settings

HTTPS = 443
WITHIN = ("--wait", "--timeout", "900")
IMAGES_KNOWN_S = 60.0  # twice the rest of a region's life
COMES_BACK_S, LOOKS_EVERY_S = 60.0, 0.2
AWAY = b""
WIDTH = 52  # as the phases of `make up` before it


@dataclass(frozen=True, slots=True)
class Account:
    """An example account: its password if it was made just now, and a session to act in."""

    role: str
    email: str
    password: str | None
    token: str


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the story is told: the platform, what is declared, and visitors of what is hosted.

    Visitors get a page, nothing while it is away, and None where there is none.
    """

    url: str
    folder: Path
    cache_dir: Path  # for what commands fetch
    open_accounts: Callable[[], Sequence[Account]]
    look: Callable[[], bytes | None]  # at the site's front page
    count: Callable[[], bytes | None]  # what the application says that its database holds
    record: Callable[[], object]  # one more visit, by the application's form

    @property
    def tenant_file(self) -> Path:
        """What the agency declares."""
        return self.folder / "tenant.yml"

    @property
    def site(self) -> Path:
        """What it releases."""
        return self.folder / "site"

    @property
    def application(self) -> Path:
        """What else it releases."""
        return self.folder / "clinics"


def main() -> None:
    """Tell the story as far as it wasn't told; the last line is the address of the live site."""
    settings = Settings()
    if not settings.is_loopback_zone:
        _say(f"The zone {settings.zone} is real, so it gets no example accounts.")
        _say(f"The first operator: sudo {settings.instance} setup operator EMAIL --name NAME")
        return
    folder = Path(sys.argv[1]).resolve()
    site, application = (address_of(settings, folder, place) for place in (0, 1))
    form = urllib.parse.urlencode({"clinic": 1}).encode()
    stage = Stage(
        url=f"http://127.0.0.1:{settings.bind_port}",
        folder=folder,
        cache_dir=Path("/var/cache") / settings.instance,
        open_accounts=lambda: _accounts_of(settings),
        look=lambda: _get(site, settings.ca_file),
        count=lambda: _get(f"{application}visits.json", settings.ca_file),
        record=lambda: _get(f"{application}visits", settings.ca_file, form),
    )
    tell(stage, settings.instance)
    _say(f"\nTo trust the certificates of this machine's sites, copy {settings.ca_file} to")
    _say("/usr/local/share/ca-certificates/edubba.crt and run update-ca-certificates.")
    _say(f"Next: {settings.instance} login, {settings.instance} hosting list, ", end="")
    _say(f"sudo {settings.instance} doctor, make down.")
    if stage.url != DEFAULT_URL:
        _say(f"The commands find this platform by EDUBBA_URL={stage.url}")
    _say("\nThe application, which keeps visits in the agency's database, attached to it:")
    _say(application)
    _say("The site:")
    _say(site)


def address_of(settings: Settings, folder: Path, place: int = 0) -> str:
    """Return the https address of the hosting that is declared at this place."""
    text = (folder / "tenant.yml").read_text(encoding="utf-8")
    hostname = parse_tenant_file(text).hostings[place].hostname
    port = "" if settings.edge_https_port == HTTPS else f":{settings.edge_https_port}"
    return f"https://{hostname}.{settings.zone}{port}/"


def tell(stage: Stage, program: str = "edubba") -> None:
    """Bring the example live, and say who the example accounts are.

    Raises: SystemExit with what a command said that failed.
    """
    page = _seen(stage.look, "Waiting until the site answers")
    if page == (stage.site / "index.html").read_bytes() and _visits(stage):
        _say_where_passwords_are(program)
        return
    accounts = {account.role: account for account in stage.open_accounts()}
    try:
        _act(stage, accounts["owner"], accounts["operator"])
        if not _seen(stage.look, "Waiting until the site answers"):
            raise SystemExit("The site does not answer through the edge")
    finally:
        _say_accounts(list(accounts.values()), program)
    for account in accounts.values():
        _edubba(stage, account, "logout")


def _seen(look: Callable[[], bytes | None], text: str) -> bytes | None:
    """Return what a visitor gets; what was stopped with all else comes back by itself."""
    page = look()
    if page != AWAY:
        return page
    with _phase(text):
        until = time.monotonic() + COMES_BACK_S
        while page == AWAY and time.monotonic() < until:
            pause(LOOKS_EVERY_S)
            page = look()
    return page


def _visits(stage: Stage) -> int | None:
    """Return how many visits the database holds; None where no such application answers."""
    try:
        told = json.loads(_seen(stage.count, "Waiting until the application answers") or "null")
    except ValueError:
        return None
    total = told.get("total") if isinstance(told, dict) else None
    return total if isinstance(total, int) else None


def _act(stage: Stage, owner: Account, operator: Account) -> None:
    with _phase("The agency asks for what its tenant.yml declares"):
        wishes = _declare(stage, owner)
    hostings = [_edubba(stage, owner, "hosting", "show", wish["hosting"]) for wish in wishes]
    waiting = [one["open_request"] for one in hostings if one["status"] == "requested"]
    if waiting:
        with _phase("An operator approves it: each hosting gets an isolated server"):
            for request_id in waiting:
                _edubba(stage, operator, "request", "approve", request_id)
    site, application = hostings[:2]
    if site["open_request"] and site["status"] in {"requested", "building"}:
        with _phase("The site's server is built, the others meanwhile"):
            _edubba(stage, owner, "request", "show", site["open_request"], *WITHIN)
    _release(stage, owner, site, "its site")
    with _phase("The application's and the database's server are built and attached"):
        _edubba(stage, owner, "apply", "-f", str(stage.tenant_file), *WITHIN)
    is_released = _release(stage, owner, application, "its application; a migration makes tables")
    visits = _visits(stage)
    if visits is None and is_released:
        raise SystemExit("The application does not answer through the edge")
    if visits == 0:
        _record(stage)


def _declare(stage: Stage, owner: Account) -> Any:
    """Ask for all; that images were prepared just now is known within half a minute."""
    until = time.monotonic() + IMAGES_KNOWN_S
    while True:
        try:
            return _edubba(stage, owner, "apply", "-f", str(stage.tenant_file))["items"]
        except SystemExit as refused:
            if '"image_missing"' not in str(refused) or time.monotonic() > until:
                raise
        pause(1)


def _release(stage: Stage, owner: Account, hosting: dict[str, Any], what: str) -> bool:
    """Release one of the folders, but where something was released before; whether it was."""
    released = _edubba(stage, owner, "deployment", "list", hosting["id"])["items"]
    if any(one["number"] > 0 and one["status"] in {"live", "superseded"} for one in released):
        _say(f"  {hosting['name']}: a release is live already; it is left as it is")
        return False
    folder = stage.application if hosting["name"] == stage.application.name else stage.site
    with _phase(f"The agency releases {what}"):
        _edubba(stage, owner, "deploy", str(folder), "--hosting", hosting["id"], "--wait")
    return True


def _record(stage: Stage) -> None:
    with _phase("A visit is recorded through the edge, and read back"):
        stage.record()
        if not _visits(stage):
            raise SystemExit("The visit that was recorded is not in the database")


def _edubba(stage: Stage, account: Account, *arguments: str) -> Any:
    """Run a command for somebody, show what it tells while it works, return what it answers."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("EDUBBA_")},
        "EDUBBA_URL": stage.url,
        "EDUBBA_TOKEN": account.token,
        "LC_ALL": "C.UTF-8",
        "XDG_CACHE_HOME": str(stage.cache_dir),  # what is fetched goes with the installation
    }
    isolated = ["-I"] if sys.flags.isolated else []
    command = [sys.executable, *isolated, "-m", "control_plane.cli.main", *arguments, "--json"]
    with tempfile.TemporaryFile("w+") as answer:  # a pipe that nobody reads would fill up
        with subprocess.Popen(
            command, env=environment, stdout=answer, stderr=subprocess.PIPE, text=True
        ) as process:
            told = list(_shown(process.stderr))
        answer.seek(0)
        output = answer.read()
    if process.returncode:
        said = "\n".join(told)
        raise SystemExit(f"edubba {' '.join(arguments[:2])} failed:\n{output}{said}")
    return json.loads(output)


def _shown(lines: Any) -> Iterator[str]:
    for line in lines:
        _say(f"    {line.rstrip()}")
        yield line.rstrip()


@contextmanager
def _phase(text: str) -> Iterator[None]:
    began = time.monotonic()
    _say(f"  {text}")
    yield
    _say(f"  {'':<{WIDTH}} {round(time.monotonic() - began):4d} s")


def _say_accounts(accounts: Sequence[Account], program: str) -> None:
    made = [account for account in accounts if account.password]
    if not made:
        _say_where_passwords_are(program)
        return
    _say("\nAccounts, shown this once:")
    for account in made:
        _say(f"  {account.role:9} {account.email:26} {account.password}")


def _say_where_passwords_are(program: str) -> None:
    _say("\nThe example accounts have the passwords that were shown when they were made.")
    _say(f"New ones: sudo {program} setup examples --new-passwords")


def _accounts_of(settings: Settings) -> list[Account]:
    user = f"{settings.instance}-worker"
    command = [
        "runuser",
        "-u",
        user,
        "--",
        sys.executable,
        "-I",
        "-m",
        "control_plane.cli.examples",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, umask=0o007)
    if done.returncode:
        raise SystemExit(f"The example accounts can't be made:\n{done.stderr}")
    return [Account(**account) for account in json.loads(done.stdout)]


def _get(address: str, ca_file: Path, form: bytes | None = None) -> bytes | None:
    """Return a page; with a form, send it first."""
    try:
        context = ssl.create_default_context(cafile=str(ca_file))
        asked = urllib.request.urlopen(address, form, context=context, timeout=10)  # noqa: S310
        with asked as reply:
            body: bytes = reply.read()
            return body
    except urllib.error.HTTPError as error:
        return AWAY if error.code == HTTPStatus.SERVICE_UNAVAILABLE else None
    except OSError:
        return None


def _say(text: str, end: str = "\n") -> None:
    print(text, end=end, flush=True)  # noqa: T201  # this is a terminal


if __name__ == "__main__":
    main()

"""The main job as `make up` shows it: an agency asks, an operator approves, a site goes live.

Run by root on the machine itself: `python -m control_plane.cli.tour FOLDER`, where the folder has a
tenant.yml and the site. Every step is a command that a person could type; what is done already is
left alone, and so is a site to which its agency released something of its own.
"""

import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
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
BUILT_WITHIN_S = "900"
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
    """Where the story is told: the platform, what is declared, and how its site is looked at."""

    url: str
    folder: Path
    open_accounts: Callable[[], Sequence[Account]]
    look: Callable[[], bytes | None]  # the front page as a visitor gets it; empty while it is away

    @property
    def tenant_file(self) -> Path:
        """What the agency declares."""
        return self.folder / "tenant.yml"

    @property
    def site(self) -> Path:
        """What it releases."""
        return self.folder / "site"


def main() -> None:
    """Tell the story as far as it wasn't told; the last line is the address of the live site."""
    settings = Settings()
    if not settings.is_loopback_zone:
        _say(f"The zone {settings.zone} is real, so it gets no example accounts.")
        _say(f"The first operator: sudo {settings.instance} setup operator EMAIL --name NAME")
        return
    folder = Path(sys.argv[1]).resolve()
    address = address_of(settings, folder)
    stage = Stage(
        url=f"http://127.0.0.1:{settings.bind_port}",
        folder=folder,
        open_accounts=lambda: _accounts_of(settings),
        look=lambda: _get(address, settings.ca_file),
    )
    tell(stage, settings.instance)
    _say(f"\nTo trust the certificates of this machine's sites, copy {settings.ca_file} to")
    _say("/usr/local/share/ca-certificates/edubba.crt and run update-ca-certificates.")
    _say(f"Next: {settings.instance} login, {settings.instance} hosting list, ", end="")
    _say(f"sudo {settings.instance} doctor, make down.")
    if stage.url != DEFAULT_URL:
        _say(f"The commands find this platform by EDUBBA_URL={stage.url}")
    _say("")
    _say(address)


def address_of(settings: Settings, folder: Path) -> str:
    """Return the https address of the first hosting that is declared."""
    text = (folder / "tenant.yml").read_text(encoding="utf-8")
    hostname = parse_tenant_file(text).hostings[0].hostname
    port = "" if settings.edge_https_port == HTTPS else f":{settings.edge_https_port}"
    return f"https://{hostname}.{settings.zone}{port}/"


def tell(stage: Stage, program: str = "edubba") -> None:
    """Bring the example site live, and say who the example accounts are.

    Raises: SystemExit with what a command said that failed.
    """
    if _look(stage) == (stage.site / "index.html").read_bytes():
        _say_where_passwords_are(program)
        return
    accounts = {account.role: account for account in stage.open_accounts()}
    try:
        _act(stage, accounts)
        if not _look(stage):
            raise SystemExit("The site does not answer through the edge")
    finally:
        _say_accounts(list(accounts.values()), program)
    for account in accounts.values():
        _edubba(stage, account, "logout")


def _look(stage: Stage) -> bytes | None:
    """Return the front page; a site that was stopped with all else comes back by itself."""
    page = stage.look()
    if page != AWAY:
        return page
    with _phase("The site comes back"):
        until = time.monotonic() + COMES_BACK_S
        while page == AWAY and time.monotonic() < until:
            pause(LOOKS_EVERY_S)
            page = stage.look()
    return page


def _act(stage: Stage, accounts: dict[str, Account]) -> None:
    owner, operator = accounts["owner"], accounts["operator"]
    declared = ["apply", "-f", str(stage.tenant_file)]
    with _phase("The agency asks for what its tenant.yml declares"):
        wishes = _edubba(stage, owner, *declared)["items"]
    hostings = [_edubba(stage, owner, "hosting", "show", wish["hosting"]) for wish in wishes]
    waiting = [one["open_request"] for one in hostings if one["status"] == "requested"]
    if waiting:
        with _phase("An operator approves it, and the isolated tenant is built"):
            for request_id in waiting:
                within = ["--wait", "--timeout", BUILT_WITHIN_S]
                _edubba(stage, operator, "request", "approve", request_id, *within)
    elif any(one["status"] != "active" for one in hostings):
        with _phase("The isolated tenant is being built"):
            _edubba(stage, owner, *declared, "--wait", "--timeout", BUILT_WITHIN_S)
    first = hostings[0]["id"]
    released = _edubba(stage, owner, "deployment", "list", first)["items"]
    if any(one["number"] > 0 and one["status"] in {"live", "superseded"} for one in released):
        _say("  The agency released a site of its own; it is left as it is")
        return
    with _phase("The agency releases its site"):
        _edubba(stage, owner, "deploy", str(stage.site), "--hosting", first, "--wait")


def _edubba(stage: Stage, account: Account, *arguments: str) -> Any:
    """Run a command for somebody, show what it tells while it works, return what it answers."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("EDUBBA_")},
        "EDUBBA_URL": stage.url,
        "EDUBBA_TOKEN": account.token,
        "LC_ALL": "C.UTF-8",
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


def _get(address: str, ca_file: Path) -> bytes | None:
    try:
        context = ssl.create_default_context(cafile=str(ca_file))
        with urllib.request.urlopen(address, context=context, timeout=10) as reply:  # noqa: S310
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

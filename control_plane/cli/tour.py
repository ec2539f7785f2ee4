"""The main job as `make up` shows it: an agency asks, an operator approves, a site goes live.

Run by root on the machine itself: `python -m control_plane.cli.tour SITE`. Every step is a command
that a person could type; a site that is live already is left alone.
"""

import json
import os
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from control_plane.settings import Settings

HOSTING = "website"
HOSTNAME = "health"


def main() -> None:
    """Tell the story, or only its end if it was told before; the last line is the address."""
    settings = Settings()
    site = Path(sys.argv[1])
    port = "" if settings.edge_https_port == 443 else f":{settings.edge_https_port}"  # noqa: PLR2004
    address = f"https://{HOSTNAME}.{settings.zone}{port}/"
    if not _is_live(address, settings.ca_file, site):
        _tell_story(settings, site)
    if not _is_live(address, settings.ca_file, site):
        raise SystemExit(f"{address} does not serve the example site")
    _say(f"\nTo trust the certificates of this machine's sites, copy {settings.ca_file} to")
    _say("/usr/local/share/ca-certificates/edubba.crt and run update-ca-certificates.")
    _say("Next: edubba login, edubba hosting list, edubba doctor, make down.\n")
    _say(address)


def _tell_story(settings: Settings, site: Path) -> None:
    accounts = json.loads(_run(_as_worker(settings, "control_plane.cli.examples")))
    with tempfile.TemporaryDirectory() as home:
        homes = {a["role"]: _log_in(settings, Path(home) / a["role"], a) for a in accounts}
        owner, operator = homes["owner"], homes["operator"]
        if not _edubba(settings, owner, "hosting", "list")["items"]:
            _say("  The agency asks for a website")
            wish = ["request", "create", HOSTING, "-b", "static-site", "-s", "medium"]
            _edubba(settings, owner, *wish, "--hostname", HOSTNAME, "--agency", "health")
        waiting = _edubba(settings, operator, "request", "list", "--status", "submitted")
        for request in waiting["items"]:
            _say("  An operator approves it")
            _edubba(settings, operator, "request", "approve", request["id"], "--wait")
        _say("  The agency releases its site")
        _edubba(settings, owner, "deploy", str(site), "--hosting", HOSTING, "--wait")
    _say("\nAccounts, shown this once:")
    for account in accounts:
        _say(f"  {account['role']:9} {account['email']:26} {account['password']}")


def _log_in(settings: Settings, home: Path, account: dict[str, str]) -> Path:
    home.mkdir()
    login = ["login", "--email", account["email"], "--password-stdin"]
    _edubba(settings, home, *login, stdin=account["password"])
    return home


def _edubba(settings: Settings, home: Path, *arguments: str, stdin: str = "") -> Any:
    url = f"http://127.0.0.1:{settings.bind_port}"
    environment = {**os.environ, "HOME": str(home), "EDUBBA_URL": url, "LANG": "en_GB.UTF-8"}
    environment.pop("XDG_CONFIG_HOME", None)
    command = [sys.executable, "-m", "control_plane.cli.main", *arguments, "--json"]
    return json.loads(_run(command, environment, stdin))


def _as_worker(settings: Settings, module: str) -> list[str]:
    user = f"{settings.instance}-worker"
    return ["runuser", "-u", user, "--", sys.executable, "-I", "-m", module]


def _run(command: list[str], environment: dict[str, str] | None = None, stdin: str = "") -> str:
    done = subprocess.run(
        command, env=environment, input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command[3:6])} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _is_live(address: str, ca_file: Path, site: Path) -> bool:
    try:
        context = ssl.create_default_context(cafile=str(ca_file))
        with urllib.request.urlopen(address, context=context, timeout=10) as reply:  # noqa: S310
            return bool(reply.read() == (site / "index.html").read_bytes())
    except OSError:
        return False


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # this is a terminal


if __name__ == "__main__":
    main()

"""`edubba deploy`: a folder becomes a release, and the release goes live."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from control_plane.cli.choices import (
    AgencyOption,
    ReasonOption,
    TimeoutOption,
    WaitOption,
    get_hosting,
)
from control_plane.cli.client import Client, connect
from control_plane.cli.deployments import HostingOption, conclude
from control_plane.cli.exits import Stop
from control_plane.cli.following import follow_deployment
from control_plane.cli.terminal import note, tr
from control_plane.cli.uploading import find_missing, release_document, upload
from control_plane.cli.walking import Folder, read_folder

MOST_THREADS = 8
ROUNDS = 3  # content may be cleared away between two questions; then it is sent again


def deploy(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, readable=True)
    ],
    hosting: HostingOption,
    agency: AgencyOption = "",
    reason: ReasonOption = "",
    wait: WaitOption = False,
    timeout: TimeoutOption = 600,
    threads: Annotated[int, typer.Option("--threads", min=0, max=32, help="At once.")] = 0,
    renew_wheels: Annotated[
        bool,
        typer.Option("--renew-wheels", help="Choose and fetch packages anew, where it needs any."),
    ] = False,
) -> None:
    """Upload a folder and put it live; run again after a cut it sends only what is missing."""
    client = connect()
    found = get_hosting(client, hosting, agency)
    wish = Wish(directory, reason, threads, renew_wheels)
    deployment = put_live(client, found, wish)
    if wait:
        deployment = {**deployment, **follow_deployment(client, deployment, timeout)}
    conclude(deployment, found["url"])


@dataclass(frozen=True, slots=True)
class Wish:
    """A folder to be live; `threads` 0: as many uploads at once as fit the machine."""

    directory: Path
    reason: str = ""
    threads: int = 0
    renew_wheels: bool = False


def put_live(client: Client, hosting: dict[str, Any], wish: Wish) -> dict[str, Any]:
    """Upload what is missing of a folder and ask for it to be live; return the deployment."""
    at_once = wish.threads or min(MOST_THREADS, 2 + (os.cpu_count() or 1))
    directory = wish.directory
    wheels = _wheels(client, hosting, directory, wish.renew_wheels)
    folder = read_folder(directory, at_once, wheels)
    for path in folder.left_out:
        note(tr("Left out: {path}", path=path))
    release, sent = _release(client, hosting["agency"], folder, at_once)
    asked = {"release": release["id"], "reason": wish.reason}
    deployment = client.post(f"/v1/hostings/{hosting['id']}/deployments", asked)
    return {**deployment, "uploaded": sent, "files": release["file_count"]}


def _wheels(
    client: Client, hosting: dict[str, Any], directory: Path, anew: bool
) -> dict[str, Path]:
    """Return the packages that a release of this kind of hosting carries, by path."""
    wanted = client.get(f"/v1/blueprints/{hosting['blueprint']}")["wheels"]
    if wanted is None:
        return {}
    from control_plane.cli.target import Target
    from control_plane.cli.wheels import gather

    return gather(directory.resolve(strict=True), Target.of(wanted), anew=anew)


def _release(
    client: Client, agency: str, folder: Folder, threads: int
) -> tuple[dict[str, Any], dict[str, int]]:
    blobs = sent_bytes = 0
    path = f"/v1/agencies/{agency}/releases"
    for attempt in range(1, ROUNDS + 1):
        missing = find_missing(client, agency, folder)
        sent_bytes += upload(client, agency, folder, missing, threads) if missing else 0
        blobs += len(missing)
        try:
            release: dict[str, Any] = client.post(path, release_document(folder))
        except Stop as stop:
            if stop.reason != "blobs_missing" or attempt == ROUNDS:
                raise
            continue
        return release, {"blobs": blobs, "bytes": sent_bytes}
    raise AssertionError(ROUNDS)

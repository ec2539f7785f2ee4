"""Agencies and their sites in a running installation, as far as stories need them."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from control_plane.engine.lives import find_life, signal_life
from control_plane.hosting.queries import find_image
from control_plane.kit import clock
from control_plane.kit.db import Database
from control_plane.tenancy.queries import list_regions
from tests.stories.cli import Account
from tests.stories.installation import Installation
from tests.stories.people import Person, log_in
from tests.stories.sites import files_of
from tests.stories.visitor import Reply, Visitor
from tests.waiting import wait_until

NONCE_PATH = "/.well-known/edubba/deployment"
FINAL = {"live", "superseded", "failed", "cancelled"}


@dataclass(frozen=True)
class Site:
    """A hosting of an agency, seen by the agency's owner."""

    installation: Installation
    owner: Person
    agency: str
    hosting_id: str
    hostname: str

    @property
    def shown(self) -> Any:
        return self.owner.get(f"/v1/hostings/{self.hosting_id}")

    @property
    def status(self) -> str:
        return str(self.shown["status"])

    def wait(self, *statuses: str, timeout_s: float = 60) -> None:
        """Wait until the hosting is in one of these states."""
        try:
            wait_until(lambda: self.status in statuses, timeout_s)
        except TimeoutError:
            raise AssertionError(f"{self.shown}\n{self.events[-5:]}") from None

    @property
    def events(self) -> list[Any]:
        told = self.owner.get(f"/v1/hostings/{self.hosting_id}/events?format=json")
        return list(told["items"])

    def visitor(self) -> Visitor:
        return self.installation.visitor(self.hostname)

    def release(self, folder: Path) -> str:
        """Upload what is not there yet, make a release of it, return its id."""
        files = [
            {"path": path, "digest": digest_of(file), "size": file.stat().st_size, "mode": "0644"}
            for path, file in files_of(folder).items()
        ]
        places = {digest_of(file): file for file in files_of(folder).values()}
        store = f"/v1/agencies/{self.agency}"
        missing = self.owner.post(f"{store}/blobs/missing", {"digests": list(places)})["missing"]
        for digest in missing:
            self.owner.send(f"{store}/blobs/{digest}", places[digest])
        return str(self.owner.post(f"{store}/releases", {"files": files})["id"])

    def begin_deployment(self, release: str) -> str:
        told = self.owner.post(f"/v1/hostings/{self.hosting_id}/deployments", {"release": release})
        return str(told["id"])

    def deployment(self, deployment_id: str) -> Any:
        return self.owner.get(f"/v1/deployments/{deployment_id}")

    def end_of(self, deployment_id: str, timeout_s: float = 60) -> Any:
        """Wait until a deployment has ended, well or not; return it."""
        wait_until(lambda: self.deployment(deployment_id)["status"] in FINAL, timeout_s)
        return self.deployment(deployment_id)

    def deploy(self, folder: Path) -> Any:
        return self.end_of(self.begin_deployment(self.release(folder)))

    def deploy_as_pipeline(self, folder: Path) -> Any:
        """Deploy with the command line and wait; return its document. It must succeed."""
        cli = self.installation.cli(self.owner.account)
        return cli.ask("deploy", str(folder), "--hosting", self.hosting_id, "--wait")

    def visit(self) -> Reply:
        """Return what a visitor who comes now is shown."""
        visitor = self.visitor()
        try:
            return visitor.get("/")
        finally:
            visitor.close()

    def serves(self, text: str) -> bool:
        """Whether a visitor who comes now gets a page with this text."""
        try:
            reply = self.visit()
        except OSError:  # the edge itself may be away
            return False
        return reply.status == 200 and text.encode() in reply.body

    def rest(self) -> None:
        """Wait until the watch has found all well and comes again only in some seconds."""
        with self.installation.database() as db:
            wait_until(lambda: self._is_at_rest(db))

    def _is_at_rest(self, db: Database) -> bool:
        with db.read() as session:
            life = find_life(session, "hosting", self.hosting_id)
            assert life is not None
            is_watched = life.step == "watch" and life.lease_until is None
            return is_watched and life.due_at - clock.now() > timedelta(seconds=5)

    def look_now(self) -> None:
        """Let the watch, which comes every half minute by itself, come now."""
        with self.installation.database() as db, db.begin() as session:
            assert signal_life(session, "hosting", self.hosting_id)


def digest_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def new_agency(installation: Installation, slug: str) -> Person:
    """Let the operator take an agency in, with plenty; return its owner."""
    operator = installation.person("operator")
    operator.post("/v1/agencies", {"slug": slug, "name_ar": f"جهة {slug}", "name_en": slug})
    plenty = {"servers": 10, "cpu_millis": 8000, "memory_mib": 8192, "disk_mib": 65536}
    budget = {"currency": "IQD", "micros_per_hour": 500_000_000}
    for document, body in (("quota", plenty), ("budget", budget)):
        operator.put(f"/v1/agencies/{slug}/{document}", body)
    email = f"owner@{slug}.example"
    new = {"email": email, "name": "Owner", "role": "owner", "locale": "ar"}
    told = operator.post(f"/v1/agencies/{slug}/members", new)
    return log_in(installation.url, Account(email, told["initial_password"]))


def request_site(installation: Installation, owner: Person, agency: str, name: str) -> Site:
    """Ask for a small site, which the policy approves by itself."""
    wish = {"kind": "create", "agency": agency, "name": name}
    told = owner.post("/v1/requests", {**wish, "blueprint": "static-site", "size": "small"})
    assert told["status"] == "approved", told
    hosting = owner.get(f"/v1/hostings/{told['hosting']}")
    return Site(installation, owner, agency, told["hosting"], hosting["hostname"])


def host(installation: Installation, agency: str, name: str, blueprint: str, *inputs: str) -> Site:
    """Ask for a small hosting by command line; the operator approves it, as policy wants it."""
    owner = installation.people[agency]
    cli = installation.cli(owner.account)
    said = [part for one in inputs for part in ("-i", one)]
    request = cli.ask("request", "create", name, "-b", blueprint, "-s", "small", *said)
    assert request["status"] == "submitted"
    approval = {"plan_hash": request["plan"]["hash"]}
    installation.person("operator").post(f"/v1/requests/{request['id']}/approve", approval)
    done = cli.ask("request", "show", request["id"], "--wait")
    assert done["status"] == "fulfilled"
    shown = cli.ask("hosting", "show", name)
    return Site(installation, owner, agency, shown["id"], shown["hostname"])


def wait_for_images(installation: Installation, *families: str) -> None:
    """Wait until the life of the region has seen images of these families."""
    for family in families:
        wait_until(partial(_has_image, installation, family), timeout_s=60)


def _has_image(installation: Installation, family: str) -> bool:
    with installation.database() as db, db.read() as session:
        [region] = list_regions(session)
        return find_image(session, region.id, family) is not None

"""Applications that nobody here wrote, hosted as an agency would host them: with its command line.

A wiki in PHP and a catalogue in Python live on one running installation, each in a server of its
own, and are looked at by visitors through the edge.
"""

import json
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from control_plane.kit.cleaning import HIDDEN
from tests.families.debian import dokuwiki, unpacked
from tests.images import prepared_images
from tests.stories.cli import Cli
from tests.stories.hosted import Site, host, new_agency, wait_for_images
from tests.stories.installation import Installation
from tests.stories.test_service import Crowd
from tests.waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

AGENCY = "museum"
FAMILIES = ("php-site", "python-app")
SECRET = "Enheduanna'\"$`{{ of }} Ur; سرّ"
CANARIES = [SECRET.encode(), json.dumps(SECRET).encode(), b"Enheduanna"]
DATASETTE = """
import os
from datasette.app import Datasette
print("The token is", os.environ.get("TOKEN"), flush=True)
title = f"{os.environ.get('MODE')} {len(os.environ.get('TOKEN', ''))}"
application = Datasette(
    ["proj.db"], metadata={"title": title}, settings={"num_sql_threads": 2}
).app()
"""
MIGRATE = """
import sys, time
from pathlib import Path
how = Path("how.txt").read_text().strip()
print("The migration begins:", how, flush=True)
if how == "hangs":
    time.sleep(600)
sys.exit(how == "fails")
"""


@dataclass(frozen=True)
class Museum:
    """An agency with a command line, and what it hosts."""

    installation: Installation
    cli: Cli
    folder: Path

    def host(self, name: str, blueprint: str, *inputs: str) -> Site:
        return host(self.installation, AGENCY, name, blueprint, *inputs)

    def deploy(self, folder: Path, site: Site) -> Any:
        return self.cli.ask("deploy", str(folder), "--hosting", site.hosting_id, "--wait")


@pytest.fixture(scope="module")
def museum(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Museum:
    prepared_images(*FAMILIES)
    owner = installation.people[AGENCY] = new_agency(installation, AGENCY)
    cli = installation.cli(owner.account)
    wait_for_images(installation, *FAMILIES)
    return Museum(installation, cli, tmp_path_factory.mktemp("museum"))


def test_a_wiki_keeps_what_people_wrote_through_a_release_and_a_rollback(museum: Museum) -> None:
    site = museum.host(
        "wiki",
        "php-site",
        "extensions=[mbstring, xml, gd, intl]",
        "persistent_paths=[data, conf]",
        "private_paths=[data, conf, inc, bin]",
        "check_path=/doku.php?id=start",
    )
    folder = written(museum.folder / "wiki", dokuwiki())
    assert museum.deploy(folder, site)["status"] == "live"
    edit(site, "ur", "The first city")
    assert "The first city" in read(site, "ur")
    (folder / "VERSION").write_text("2")
    assert museum.deploy(folder, site)["status"] == "live"
    assert "The first city" in read(site, "ur")
    edit(site, "ur", "The first city of all")
    back = museum.cli.ask("rollback", site.hosting_id, "--wait", "--reason", "as before")
    assert back["status"] == "live"
    assert "The first city of all" in read(site, "ur")
    with closing(site.visitor()) as visitor:
        assert visitor.get("/data/pages/ur.txt").status == 404


@pytest.fixture(scope="module")
def catalogue(museum: Museum) -> Site:
    """Give a Python application over a real database, live, with its packages as wheels."""
    site = museum.host(
        "catalogue",
        "python-app",
        "application=app:application",
        "interface=asgi",
        "migrate=python migrate.py",
        "migrate_timeout_s=10",
    )
    folder = museum.folder / "catalogue"
    folder.mkdir()
    (folder / "requirements.txt").write_text("datasette==0.65.5\n")
    (folder / "app.py").write_text(DATASETTE)
    (folder / "migrate.py").write_text(MIGRATE)
    (folder / "how.txt").write_text("well")
    source = unpacked("proj-data") / "usr/share/proj/proj.db"
    (folder / "proj.db").write_bytes(source.read_bytes())
    assert museum.deploy(folder, site)["status"] == "live"
    return site


def test_a_catalogue_answers_from_its_database_through_the_edge(catalogue: Site) -> None:
    wish = "select name from ellipsoid where code = '7030'"
    with closing(catalogue.visitor()) as visitor:
        reply = visitor.get(f"/proj.json?{urlencode({'sql': wish, '_shape': 'array'})}")
    assert (reply.status, json.loads(reply.body)) == (200, [{"name": "WGS 84"}])


def test_settings_arrive_without_a_lost_request_and_their_change_too(
    museum: Museum, catalogue: Site
) -> None:
    told = ("setting", "set", "catalogue")
    secret = ("--secret", "TOKEN", "--wait")
    done = museum.cli.run(*told, "MODE=open", *secret, stdin=SECRET)
    assert done.code == 0, done
    wait_until(lambda: catalogue.serves(title("open", len(SECRET))), timeout_s=60)
    with Crowd(catalogue) as crowd:
        museum.cli.ask(*told, "MODE=closed", "--wait")
        wait_until(lambda: catalogue.serves(title("closed", len(SECRET))), timeout_s=60)
    assert crowd.errors == []
    assert {status for status, _ in crowd.seen} == {200}
    assert len(crowd.seen) > 50


@pytest.mark.parametrize(("how", "said"), [("fails", "fails"), ("hangs", "10 s")])
def test_a_migration_that_goes_wrong_leaves_the_old_release_and_its_owner_reads_why(
    museum: Museum, catalogue: Site, how: str, said: str
) -> None:
    folder = museum.folder / "catalogue"
    (folder / "how.txt").write_text(how)
    done = museum.cli.run("deploy", str(folder), "--hosting", "catalogue", "--wait", "--json")
    assert done.code != 0
    (newest, *_) = museum.cli.ask("deployment", "list", "catalogue")["items"]
    assert newest["status"] == "failed"
    shown = museum.cli.run("deployment", "show", newest["id"]).output
    assert "The migration begins:" in shown
    assert said in shown
    assert catalogue.serves(title("closed", len(SECRET)))
    (folder / "how.txt").write_text("well")


def test_what_an_application_said_is_read_by_its_owner_and_its_secret_by_nobody(
    museum: Museum, catalogue: Site
) -> None:
    shown = museum.cli.run("log", "show", "catalogue", "--lines", "1000").output
    assert "prepare: The migration begins: hangs" in shown
    assert f"The token is {HIDDEN}" in shown
    operator = museum.installation.cli(museum.installation.person("operator").account)
    assert operator.run("log", "show", catalogue.hosting_id).code != 0


def test_of_two_releases_at_once_one_waits_for_the_other(museum: Museum, catalogue: Site) -> None:
    folder = museum.folder / "catalogue"
    ids = []
    for text in ("first", "second"):
        (folder / "text.txt").write_text(text)
        deploy = ("deploy", str(folder), "--hosting", "catalogue")
        ids.append(museum.cli.ask(*deploy)["id"])
        if text == "first":
            wait_until(lambda: catalogue.deployment(ids[0])["status"] == "running", timeout_s=60)
    assert catalogue.deployment(ids[1])["status"] == "queued"
    ended = [catalogue.end_of(one, timeout_s=120) for one in ids]
    assert ended[0]["number"] < ended[1]["number"]
    assert ended[0]["finished_at"] < ended[1]["finished_at"]
    assert [catalogue.deployment(one)["status"] for one in ids] == ["superseded", "live"]


def test_a_secret_is_nowhere_but_in_its_own_server(museum: Museum, catalogue: Site) -> None:
    """Everything that happened before is searched: logs, files, tables, arguments."""
    assert catalogue.serves(title("closed", len(SECRET)))  # it is there, where it belongs
    installation = museum.installation
    files = list(files_below(installation.folder))
    names = {path.name for path in files}
    assert names > {"edubba.db", "worker.log", "runner.log", "locald.log", "web.log"}
    found = [str(path) for path in files if has_canary(content_of(path))]
    assert found == []
    arguments = map(content_of, Path("/proc").glob("[0-9]*/cmdline"))
    assert [one for one in arguments if has_canary(one)] == []
    with closing(sqlite3.connect(installation.settings.state_dir / "database/edubba.db")) as db:
        dump = "\n".join(db.iterdump())
    assert "settings.changed" in dump  # the search sees what is in the tables
    assert not has_canary(dump.encode())


def title(mode: str, length: int) -> str:
    """Return what the catalogue shows of its settings."""
    return f"{mode} {length}"


def has_canary(content: bytes) -> bool:
    return any(canary in content for canary in CANARIES)


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all regular files but those on servers' own disks."""
    for where, folders, names in os.walk(folder):
        folders[:] = [one for one in folders if not (Path(where) / one).is_mount()]
        for path in (Path(where) / name for name in names):
            if path.is_file() and path.suffix != ".img":
                yield path


def content_of(path: Path) -> bytes:
    """Return what is in a file, or nothing if it is gone: processes come and go meanwhile."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def written(folder: Path, files: dict[str, bytes]) -> Path:
    """Write a release's files into a folder."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def read(site: Site, page: str) -> str:
    with closing(site.visitor()) as visitor:
        reply = visitor.get(f"/doku.php?id={page}")
    assert reply.status == 200
    return reply.body.decode()


def edit(site: Site, page: str, text: str) -> None:
    """Edit a page as a person does: get the form, send it back filled in."""
    address = f"/doku.php?id={page}&do=edit"
    with closing(site.visitor()) as visitor:
        form = visitor.get(address)
        cookie = form.headers["set-cookie"].partition(";")[0]
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form.body.decode()))
        fields |= {"wikitext": text, "do[save]": "1", "id": page, "summary": ""}
        reply = visitor.post(address, fields, {"Cookie": cookie})
    assert reply.status in {200, 302}

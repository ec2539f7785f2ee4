"""A Django project that nobody here wrote keeps its people and sessions in an attached database."""

import os
import re
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from control_plane.hosting.models import Attachment
from control_plane.kit.ids import new_id
from control_plane.ports.cloud.port import Fence
from tests.images import prepared_images
from tests.locald.world import run_in_server
from tests.stories.cli import Cli
from tests.stories.hosted import Site, host, new_agency, wait_for_images
from tests.stories.installation import Installation
from tests.stories.visitor import Reply
from tests.waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

AGENCY = "archive"
FAMILIES = ("python-app", "postgres-database")
PASSWORD = "Ashurbanipal-668"
SETTINGS = """
import dj_database_url
ALLOWED_HOSTS = ["*"]
DEBUG = False
STATIC_ROOT = BASE_DIR / "static"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
DATABASES = {"default": dj_database_url.config()}
"""
MIGRATE = """
set -e
python manage.py migrate --noinput
python manage.py createsuperuser --noinput --username nabu --email nabu@archive.example || true
"""


# PostgreSQL's SSLRequest and its yes: whoever stands between may take a connection, not speak so.
PROBE = (
    "import socket; s = socket.create_connection(('{address}', 5432), 3); s.settimeout(3); "
    "s.sendall(bytes.fromhex('0000000804d2162f')); assert s.recv(1) == b'S'"
)


@dataclass(frozen=True)
class Archive:
    """An agency with an application and a database, joined."""

    installation: Installation
    cli: Cli
    folder: Path
    portal: Site
    records: Site

    def attachments(self) -> Any:
        owner = self.portal.owner
        return owner.get(f"/v1/hostings/{self.portal.hosting_id}/attachments")["items"]

    def log_in_status(self) -> int:
        with closing(self.portal.visitor()) as visitor:
            return visitor.get("/admin/", {"Cookie": "sessionid=" + "n" * 32}).status

    def log_in(self, password: str = PASSWORD) -> Reply:
        """Log in to Django's administration as a person does."""
        with closing(self.portal.visitor()) as visitor:
            form = visitor.get("/admin/login/")
            cookie = form.headers["set-cookie"].partition(";")[0]
            (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', form.body.decode())
            fields = {"csrfmiddlewaretoken": token, "username": "nabu", "password": password}
            origin = f"https://{visitor.hostname}:{visitor.port}"
            headers = {"Cookie": cookie, "Origin": origin, "Referer": f"{origin}/admin/login/"}
            return visitor.post("/admin/login/?next=/admin/", fields, headers)


@pytest.fixture(scope="module")
def archive(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    prepared_images(*FAMILIES)
    owner = installation.people[AGENCY] = new_agency(installation, AGENCY)
    cli = installation.cli(owner.account)
    wait_for_images(installation, *FAMILIES)
    records = host(installation, AGENCY, "records", "postgres-database")
    portal = host(
        installation,
        AGENCY,
        "portal",
        "python-app",
        "application=mysite.wsgi:application",
        "migrate=sh migrate.sh",
        "check_path=/admin/login/",
        "generated_paths=[static]",
        "release_commands=[python manage.py collectstatic --noinput]",
    )
    folder = tmp_path_factory.mktemp("archive")
    made = Archive(installation, cli, folder, portal, records)
    cli.ask("attachment", "create", "portal", "records")
    wait_until(lambda: [one["status"] for one in made.attachments()] == ["live"], timeout_s=60)
    secret = ("--secret", "DJANGO_SUPERUSER_PASSWORD", "--wait")
    done = cli.run("setting", "set", "portal", *secret, stdin=PASSWORD)
    assert done.code == 0, done
    cli.ask("deploy", str(project(folder / "project")), "--hosting", "portal", "--wait")
    return made


def project(folder: Path) -> Path:
    """Return what `django-admin startproject` makes, with its settings told about the database."""
    packages = folder.with_name("packages")
    wanted = ["django==5.2.*", "dj-database-url==3.*", "psycopg[binary]==3.2.*"]
    pip = [sys.executable, "-m", "pip", "install", "-q", "--target", str(packages), wanted[0]]
    subprocess.run(pip, check=True)
    folder.mkdir()
    argv = [sys.executable, "-m", "django", "startproject", "mysite", str(folder)]
    subprocess.run(argv, env={**os.environ, "PYTHONPATH": str(packages)}, check=True)
    (folder / "requirements.txt").write_text("\n".join(wanted))
    (folder / "migrate.sh").write_text(MIGRATE)
    with (folder / "mysite" / "settings.py").open("a") as settings:
        settings.write(SETTINGS)
    return folder


def test_people_log_in_with_what_the_database_keeps_of_them(archive: Archive) -> None:
    assert archive.log_in().status == 302
    assert archive.log_in("wrong").status == 200


def test_what_the_database_keeps_outlives_a_release(archive: Archive) -> None:
    folder = archive.folder / "project"
    (folder / "VERSION").write_text("2")
    archive.cli.ask("deploy", str(folder), "--hosting", "portal", "--wait")
    assert archive.log_in().status == 302


def test_a_stranger_on_the_machine_does_not_reach_the_database(archive: Archive) -> None:
    """Not from the host, nor from a hosting of the same tenant that is not attached to it."""
    [attachment] = archive.attachments()
    assert attachment["variable"] == "DATABASE_URL"
    other = host(archive.installation, AGENCY, "other", "python-app", "application=none:none")
    with archive.installation.database() as db, db.read() as session:
        address = session.get_one(Attachment, attachment["id"]).address
    probe = PROBE.format(address=address)
    settings = archive.installation.settings
    for server, is_open in ((archive.portal, True), (other, False)):
        argv = ["sh", "-c", f'python3 -c "{probe}" && echo open || echo closed']
        said = run_in_server(
            settings.locald_socket, server.hosting_id, argv, Fence(new_id("lif"), 1)
        )
        assert said.strip() == ("open" if is_open else "closed")
    on_host = subprocess.run(["/usr/bin/python3", "-c", probe], capture_output=True, check=False)
    assert on_host.returncode != 0


def test_detaching_shuts_the_database_and_attaching_again_opens_it(archive: Archive) -> None:
    [attachment] = archive.attachments()
    archive.cli.run("attachment", "end", attachment["id"])
    wait_until(lambda: archive.attachments() == [], timeout_s=60)
    assert archive.cli.ask("attachment", "list", "portal")["items"] == []
    wait_until(lambda: archive.log_in_status() == 500, timeout_s=60)
    archive.cli.ask("attachment", "create", "portal", "records")
    wait_until(lambda: [one["status"] for one in archive.attachments()] == ["live"], timeout_s=60)
    wait_until(lambda: archive.log_in().status == 302, timeout_s=60)

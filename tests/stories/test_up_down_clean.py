"""What a person does first: `make up`, again, `make down`, `make clean`, on an own instance."""

import json
import os
import re
import secrets
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from tests.images import CACHE, copy_image, find_images, prepared_images
from tests.ports import free_port
from tests.stories.installation import CHECKOUT
from tests.stories.traces import list_all, list_running

SITE = CHECKOUT / "tenants" / "examples" / "health" / "site"
PREPARED = ("python-app", "postgres-database")
PORTS = {
    "EDUBBA_EDGE_HTTP_PORT": 80,
    "EDUBBA_EDGE_HTTPS_PORT": 443,
    "EDUBBA_EDGE_METRICS_PORT": 8605,
    "EDUBBA_BIND_PORT": 8600,
    "EDUBBA_WORKER_METRICS_PORT": 8601,
}

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]


@dataclass
class Machine:
    """An instance of the product beside whatever else is installed here, made from a clone."""

    clone: Path
    instance: str = field(default_factory=lambda: f"t{secrets.token_hex(3)}")
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in PORTS})

    def make(self, target: str) -> list[str]:
        environment = {name: str(port) for name, port in self.ports.items()}
        done = subprocess.run(
            ["make", target],
            cwd=self.clone,
            env={**os.environ, **environment, "EDUBBA_INSTANCE": self.instance},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout.strip().splitlines()

    def get(self, url: str, form: dict[str, str] | None = None) -> bytes:
        """Return a page as a visitor gets it; with a form, send it first."""
        data = urlencode(form).encode() if form is not None else None
        ca = Path("/var/lib") / self.instance / "edge" / "ca.pem"
        context = ssl.create_default_context(cafile=str(ca))
        with urllib.request.urlopen(url, data, context=context, timeout=10) as answer:
            body: bytes = answer.read()
            return body


def count_of(machine: Machine, application: str) -> int:
    """Return how many visits the application finds in its database."""
    return int(json.loads(machine.get(f"{application}visits.json"))["total"])


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give what a fresh clone will hold, what isn't committed yet included; only root reads it."""
    folder = tmp_path_factory.mktemp("clone")
    known = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(known, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
    for path in filter(None, listed.split("\0")):
        if (CHECKOUT / path).exists():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / path, folder / path)
    return folder


@pytest.fixture(scope="module")
def machine(clone: Path) -> Iterator[Machine]:
    """Give a machine whose cache has the Debian root, and all images but that of the site.

    The site's is made here by `make up`, the others as all tests that need them.
    """
    machine = Machine(clone)
    assert list_all(machine.instance) == []
    prepared_images(*PREPARED)
    cache = Path("/var/cache") / machine.instance
    cache.mkdir()
    for archive in CACHE.glob("base-*.tar"):
        os.link(archive, cache / archive.name)
    for family in PREPARED:
        copy_image(family, Path("/var/lib") / machine.instance / "images")
    yield machine
    machine.make("clean")


@pytest.fixture(scope="module")
def address(machine: Machine) -> str:
    return machine.make("up")[-1]


@pytest.fixture(scope="module")
def application(machine: Machine, address: str) -> str:
    return address.replace("//health.", "//clinics.")


def test_the_last_line_is_the_address_of_a_site_that_is_live(
    machine: Machine, address: str
) -> None:
    assert re.fullmatch(rf"https://[a-z0-9.-]+\.{machine.instance}\.localhost(:\d+)?/", address)
    for path in (p for p in SITE.rglob("*") if p.is_file() and p.name != "404.html"):
        served = machine.get(address + quote(str(path.relative_to(SITE))))
        assert served == path.read_bytes(), path


def test_the_application_keeps_in_its_database_what_people_send(
    machine: Machine, application: str
) -> None:
    assert count_of(machine, application) == 1  # recorded by `make up` itself
    for language in ("", "en/"):
        page = machine.get(f"{application}{language}visits", {"clinic": "3"}).decode()
        assert 'role="status"' in page
        assert 'class="new"' in page
    assert count_of(machine, application) == 3
    assert json.loads(machine.get(f"{application}health")) == {"clinics": 4}
    for wrong in ({"clinic": "9"}, {"clinic": "1; drop table visit"}, {}):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            machine.get(f"{application}visits", wrong)
    assert count_of(machine, application) == 3


def test_up_again_is_quick_and_changes_nothing(machine: Machine, address: str) -> None:
    started = time.monotonic()
    again = machine.make("up")
    assert time.monotonic() - started < 30  # a busy machine; a quiet one takes 3
    assert any("nothing to set up" in line for line in again)
    assert again[-1] == address


def test_an_image_that_is_made_again_is_the_same(machine: Machine, address: str) -> None:
    assert address
    made = find_images(Path("/var/lib") / machine.instance, "static-site")
    assert made == find_images(prepared_images().parent, "static-site")


def test_down_stops_everything_and_up_again_starts_it_and_changes_nothing(
    machine: Machine, address: str, application: str
) -> None:
    before = count_of(machine, application)
    machine.make("down")
    assert list_running(machine.instance) == []
    assert (Path("/var/lib") / machine.instance / "database" / "edubba.db").stat().st_size > 0
    assert machine.make("down") != []  # nothing is left to stop, and that is fine
    started = time.monotonic()
    again = machine.make("up")
    assert time.monotonic() - started < 60
    assert again[-1] == address
    assert not any("Accounts" in line or "releases" in line for line in again), again
    assert machine.get(address) == (SITE / "index.html").read_bytes()
    assert count_of(machine, application) == before
    log = (Path("/var/log") / machine.instance / "bootstrap.log").read_text()
    recap = log.rsplit("PLAY RECAP", 1)[1].splitlines()[1]
    assert "changed=1 " in recap  # what starts the processes
    assert "failed=0 " in recap


def test_clean_leaves_no_trace(machine: Machine, address: str) -> None:
    assert address
    machine.make("clean")
    assert list_all(machine.instance) == []

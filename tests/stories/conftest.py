"""One running installation for all stories, and the sites that several of them look at."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stories.hosted import Site, new_agency, request_site
from tests.stories.installation import Installation, installed
from tests.stories.sites import documentation, small_site


@pytest.fixture(scope="session")
def installation() -> Iterator[Installation]:
    with installed() as one:
        yield one


@pytest.fixture(autouse=True)
def whole(request: pytest.FixtureRequest) -> None:
    """Let each story begin with all processes running, whatever the one before did to them."""
    if "installation" in request.fixturenames:
        request.getfixturevalue("installation").start_all()


@pytest.fixture(scope="session")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a site of a thousand real files; nobody changes it."""
    return documentation(tmp_path_factory.mktemp("manual") / "site")


@pytest.fixture(scope="session")
def clinic(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Give a small site that is live, of an agency of its own."""
    site = request_site(installation, new_agency(installation, "clinic"), "clinic", "site")
    site.wait("active")
    assert site.deploy(small_site(tmp_path_factory.mktemp("clinic"), "clinic"))["status"] == "live"
    return site


@pytest.fixture(scope="session")
def library(installation: Installation) -> Site:
    """Give a medium site of another agency, with room for much; nothing was released to it."""
    owner = new_agency(installation, "library")
    wish = {"kind": "create", "agency": "library", "name": "manual"}
    told = owner.post("/v1/requests", {**wish, "blueprint": "static-site", "size": "medium"})
    assert told["status"] == "submitted"
    approval = {"plan_hash": told["plan"]["hash"]}
    installation.person("operator").post(f"/v1/requests/{told['id']}/approve", approval)
    hosting = owner.get(f"/v1/hostings/{told['hosting']}")
    site = Site(installation, owner, "library", told["hosting"], hosting["hostname"])
    site.wait("active")
    return site

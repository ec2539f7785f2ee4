"""How long people wait for a site, and how much memory it takes to carry them."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import monotonic

import pytest

from tests.bench.figures import pss_mib, show, show_seconds
from tests.stories.breakages import processes_of
from tests.stories.hosted import Site, new_agency
from tests.stories.installation import Installation
from tests.stories.sites import small_site
from tests.stories.traces import list_cgroups
from tests.waiting import wait_until

pytestmark = [pytest.mark.bench, pytest.mark.root, pytest.mark.timeout(600)]
SITES = 10
LOOKS_EVERY_S = 0.01


@pytest.fixture(scope="module")
def sites() -> list[Site]:
    """Give the list to which measured sites are added."""
    return []


def test_from_an_approval_to_the_first_page(installation: Installation, sites: list[Site]) -> None:
    """Each site is the first of its agency, so that its tenant is built as well."""
    operator = installation.person("operator")
    known: list[float] = []
    served: list[float] = []
    for number in range(SITES):
        agency = f"bench{number}"
        owner = new_agency(installation, agency)
        wish = {"kind": "create", "agency": agency, "name": "site", "size": "medium"}
        told = owner.post("/v1/requests", {**wish, "blueprint": "static-site"})
        hosting = owner.get(f"/v1/hostings/{told['hosting']}")
        sites.append(Site(installation, owner, agency, told["hosting"], hosting["hostname"]))
        began = monotonic()
        operator.post(f"/v1/requests/{told['id']}/approve", {"plan_hash": told["plan"]["hash"]})
        for times, statuses in ((known, {503, 200}), (served, {200})):
            wait_until(partial(is_answered, sites[-1], statuses), 60, LOOKS_EVERY_S)
            times.append(monotonic() - began)
    show_seconds("approval sent → the edge knows the name", known)
    show_seconds("approval sent → first 200", served)


def test_from_a_deployment_to_its_page(
    installation: Installation, sites: list[Site], tmp_path: Path
) -> None:
    times = []
    for number, site in enumerate(sites):
        release = site.release(small_site(tmp_path / str(number), f"bench {number}"))
        began = monotonic()
        site.begin_deployment(release)
        wait_until(partial(site.serves, f"bench {number}"), 60, LOOKS_EVERY_S)
        times.append(monotonic() - began)
    show_seconds("deployment of a small release sent → its page", times)


def test_memory_of_each_process_and_of_a_tenant(
    installation: Installation, sites: list[Site]
) -> None:
    for name, process in installation.processes.items():
        show(f"memory of {name} (PSS)", f"{pss_mib([process.pid]):6.1f} MiB")
    tenants = [pss_mib(list(processes_inside(site))) for site in sites]
    assert min(tenants) > 0
    mean = sum(tenants) / len(tenants)
    show("memory of a tenant with one site (PSS)", f"{mean:6.1f} MiB, mean of {len(tenants)}")
    show("processors of this machine", f"{os.cpu_count():6}")
    show("load of this machine meanwhile", f"{os.getloadavg()[0]:6.1f}")


def processes_inside(site: Site) -> Iterator[int]:
    groups = list_cgroups(site.installation.instance)
    found = {pid for g in groups if site.hosting_id in g for pid in processes_of(Path(g))}
    yield from found


def is_answered(site: Site, statuses: set[int]) -> bool:
    return site.visit().status in statuses

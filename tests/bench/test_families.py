"""How long people wait for each kind of hosting, what its play is spent on, what it weighs."""

from collections import defaultdict
from datetime import datetime
from functools import partial
from itertools import pairwise
from operator import itemgetter
from time import monotonic
from typing import Any

import pytest

from tests.bench.figures import pss_mib, show, show_seconds
from tests.bench.test_service import LOOKS_EVERY_S, is_answered, processes_inside
from tests.images import prepared_images
from tests.stories.hosted import Site, new_agency
from tests.stories.installation import Installation
from tests.stories.people import Person
from tests.waiting import wait_until

pytestmark = [pytest.mark.bench, pytest.mark.root, pytest.mark.timeout(900)]
INPUTS: dict[str, dict[str, Any]] = {
    "static-site": {},
    "php-site": {},
    "python-app": {"application": "app:application"},
    "postgres-database": {},
}
LONGEST = 4  # tasks
ROUNDS = 3  # the first builds the tenant as well, and finds nothing of the image in memory


@pytest.fixture(scope="module", autouse=True)
def images() -> None:
    prepared_images(*INPUTS)


@pytest.mark.parametrize("blueprint", INPUTS)
def test_from_an_approval_to_the_first_page_of_each_kind(
    installation: Installation, blueprint: str
) -> None:
    owner = new_agency(installation, blueprint)
    built = [build(installation, owner, blueprint, number) for number in range(ROUNDS)]
    sites, served = zip(*built, strict=True)
    shown = [owner.get(f"/v1/hostings/{site.hosting_id}/runs")["items"] for site in sites]
    runs = [owner.get(f"/v1/runs/{run['id']}") for *_, run in shown]  # the first of each
    show_seconds(f"{blueprint}: approval sent → first 200, cold", served[:1])
    show_seconds(f"{blueprint}: approval sent → first 200, warm", served[1:])
    show_seconds(f"{blueprint}: a run of its playbook", [spent(run) for run in runs])
    tasks = sorted(spent_on(runs[-1]).items(), key=itemgetter(1), reverse=True)
    for task, seconds in tasks[:LONGEST]:
        show(f"    {task}", f"{seconds:6.2f} s")
    weight = pss_mib(list(processes_inside(sites[-1])))
    show(f"{blueprint}: memory of its processes (PSS)", f"{weight:6.1f} MiB")


def build(
    installation: Installation, owner: Person, blueprint: str, number: int
) -> tuple[Site, float]:
    """Ask for a hosting; return it and the seconds from its approval until it answers."""
    wish = {
        "kind": "create",
        "agency": blueprint,
        "name": f"site{number}",
        "blueprint": blueprint,
        "size": "medium",
        "inputs": INPUTS[blueprint],
    }
    told: dict[str, Any] = {}
    wait_until(partial(_is_taken, owner, wish, told), 60)  # once the region saw the image
    hosting = owner.get(f"/v1/hostings/{told['hosting']}")
    site = Site(installation, owner, blueprint, told["hosting"], hosting["hostname"])
    approval = {"plan_hash": told["plan"]["hash"]}
    began = monotonic()
    installation.person("operator").post(f"/v1/requests/{told['id']}/approve", approval)
    wait_until(partial(is_answered, site, {200}), 120, LOOKS_EVERY_S)
    return site, monotonic() - began


def spent(run: Any) -> float:
    """Return the seconds from the wish for a run to its end."""
    ends = [datetime.fromisoformat(run[name]) for name in ("created_at", "finished_at")]
    return (ends[1] - ends[0]).total_seconds()


def spent_on(run: Any) -> dict[str, float]:
    """Return the seconds that each task of a run took, until the next one began."""
    seconds: dict[str, float] = defaultdict(float)
    begun = [one for one in run["events"] if one["kind"] == "task"]
    moments = [datetime.fromisoformat(one["at"]) for one in begun]
    moments.append(datetime.fromisoformat(run["finished_at"]))
    for one, (began, ended) in zip(begun, pairwise(moments), strict=True):
        seconds[one["task"]] += (ended - began).total_seconds()
    return seconds


def _is_taken(owner: Person, wish: dict[str, Any], told: dict[str, Any]) -> bool:
    answer = owner.try_("POST", "/v1/requests", wish)
    told.update(answer.json)
    return bool(answer.status < 300)

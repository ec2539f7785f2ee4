"""`openstack hosting …` of somebody who logs in at a real Keystone and finds us there."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from control_plane.app import new_desk
from control_plane.identity.rules import Role
from control_plane.kit.db import Database
from control_plane.ports.identity_source.cached import KEPT
from control_plane.ports.identity_source.port import Project
from control_plane.settings import Settings
from tests.api import a_person
from tests.cli.terminal import World, a_world
from tests.keystones import PASSWORD, Keystone, a_keystone
from tests.osc.test_commands import request_create
from tests.osc.world import Done, OpenStackClient
from tests.waiting import wait_until

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]


@dataclass(frozen=True, slots=True)
class Stage:
    world: World
    keystone: Keystone
    user_id: str
    project: Project
    client: OpenStackClient
    nowhere: Done  # before the catalogue had us

    def asks(self, token: str) -> int:
        headers = {"X-Auth-Token": token}
        return httpx2.get(f"{self.world.url}/v1/me", headers=headers).status_code


@pytest.fixture(scope="module")
def stage(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("osc")
    shutil.copy(sqlite_template, folder / "edubba.db")
    db = Database(f"sqlite:///{folder / 'edubba.db'}")
    with a_keystone() as keystone:
        settings = Settings(state_dir=folder, run_dir=folder, keystone_url=keystone.url)
        source = new_desk(settings, db).identity_source
        with a_world(db, folder, identity_source=source) as world:
            user_id, project = keystone.a_user(), keystone.a_project()
            keystone.give(user_id, f"projects/{project.id}", "member")
            told = {
                "OS_AUTH_URL": keystone.url,
                "OS_USER_ID": user_id,
                "OS_PASSWORD": PASSWORD,
                "OS_PROJECT_ID": project.id,
                "OS_IDENTITY_API_VERSION": "3",
            }
            client = OpenStackClient(folder, told)
            nowhere = client.run("hosting", "list")
            service = keystone.make("service", type="hosting", name="edubba")
            endpoint = {"service_id": service, "interface": "public", "url": world.url}
            keystone.make("endpoint", **endpoint)
            yield Stage(world, keystone, user_id, project, client, nowhere)
    db.close()


def test_a_catalogue_without_us_is_told_and_what_to_do(stage: Stage) -> None:
    assert stage.nowhere.code == 2
    assert "--os-hosting-endpoint" in stage.nowhere.errors


def test_who_has_a_role_in_an_agencys_project_asks_for_hosting(stage: Stage) -> None:
    refused = stage.client.run("hosting", "list")
    assert refused.code == 4
    assert f"project set AGENCY {stage.project.id} --domain default" in refused.errors

    operator = stage.world.terminal(a_person(stage.world.api, Role.OPERATOR))
    given = ["health", stage.project.id, "--domain", "default", "--role", "member=developer"]
    operator.ask("agency", "project", "set", *given)

    asked = stage.client.ask(*request_create("portal"))
    assert (asked["status"], asked["agency"]) == ("submitted", "health")
    [listed] = stage.client.ask("hosting", "request", "list")
    assert listed["ID"] == asked["id"]
    shown = stage.client.ask("hosting", "request", "show", asked["id"])
    assert shown["submitted_by"] == asked["submitted_by"]
    own = stage.client.run("hosting", "request", "approve", asked["id"])
    assert own.code == 4


def test_a_revoked_token_is_worth_nothing_soon_after(stage: Stage) -> None:
    _let_act(stage)
    issued = stage.client.run("token", "issue", "-f", "value", "-c", "id")
    token = issued.output.strip()
    assert stage.asks(token) == 200
    assert stage.client.run("token", "revoke", token).code == 0
    wait_until(lambda: stage.asks(token) == 401, timeout_s=KEPT.total_seconds() + 5)


def test_who_loses_the_role_in_the_project_loses_it_here(stage: Stage) -> None:
    _let_act(stage)
    user_id = stage.keystone.a_user()
    place = f"projects/{stage.project.id}"
    stage.keystone.give(user_id, place, "member")
    token = stage.keystone.token(user_id, {"project": {"id": stage.project.id}})
    assert stage.asks(token) == 200
    stage.keystone.take(user_id, place, "member")
    wait_until(lambda: stage.asks(token) == 401, timeout_s=KEPT.total_seconds() + 5)


def _let_act(stage: Stage) -> None:
    operator = a_person(stage.world.api, Role.OPERATOR)
    wish = {"domain_id": "default", "roles": {"member": "developer"}}
    answer = operator.put(f"/v1/agencies/health/projects/{stage.project.id}", wish)
    assert answer.status_code == 200

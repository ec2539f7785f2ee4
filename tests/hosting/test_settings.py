"""Settings go in, open ones are shown, secrets are sealed for the worker and never come out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.hosting import actions, queries
from control_plane.hosting.rules import SettingRefused, SettingsTooLarge, check_settings
from control_plane.kit.db import METADATA
from control_plane.kit.sending import VERSION
from control_plane.ports.keyring.memory import MemoryKeyring
from control_plane.ports.keyring.port import Sealed
from tests.hosting.conftest import Scene
from tests.offer import a_wish
from tests.world import takes_settings

AWKWARD = "a'b\"c\\d $HOME `id` %s {{ x }} \n#\tسر ☂\x1b[31m"


def _hosting(scene: Scene) -> str:
    answer = scene.owner.post("/v1/requests", a_wish())
    assert answer.status_code == 202, answer.text
    hosting_id = str(answer.json()["hosting"])
    takes_settings(scene.db, hosting_id)
    return hosting_id


def _patch(scene: Scene, hosting_id: str, **body: Any) -> Any:
    path = f"/v1/hostings/{hosting_id}/settings"
    return scene.developer.request("PATCH", path, json=body)


def _publish(scene: Scene) -> MemoryKeyring:
    keyring = MemoryKeyring("edubba.localhost")
    with scene.db.begin() as session:
        actions.publish_recipient(session, keyring.recipient())
        actions.publish_recipient(session, keyring.recipient())
    return keyring


def test_a_setting_is_shown_and_changed_and_removed(scene: Scene) -> None:
    hosting_id = _hosting(scene)
    first = _patch(scene, hosting_id, settings={"LANGUAGE": "ar", "DEBUG": "no"}).json()
    assert [(one["name"], one["value"]) for one in first["items"]] == [
        ("DEBUG", "no"),
        ("LANGUAGE", "ar"),
    ]
    same = _patch(scene, hosting_id, settings={"LANGUAGE": "ar"}).json()
    assert same["generation"] == first["generation"]
    after = _patch(scene, hosting_id, settings={"DEBUG": None, "LANGUAGE": "en"}).json()
    assert [(one["name"], one["value"]) for one in after["items"]] == [("LANGUAGE", "en")]
    assert after["generation"] == first["generation"] + 1
    assert scene.owner.get(f"/v1/hostings/{hosting_id}/settings").json() == after


def test_a_secret_is_opened_by_the_workers_keyring_alone(scene: Scene) -> None:
    keyring, hosting_id = _publish(scene), _hosting(scene)
    told = _patch(scene, hosting_id, secrets={"PASSWORD": AWKWARD})
    assert told.json()["items"][0]["value"] is None
    assert told.json()["items"][0]["is_secret"]
    with scene.db.read() as session:
        [row] = queries.list_settings(session, hosting_id)
    assert row.key_id is not None
    assert row.ciphertext is not None
    sealed = Sealed(row.key_id, VERSION, row.ciphertext)
    assert keyring.open_sent(sealed, actions.secret_context(row)).decode() == AWKWARD


def test_a_secret_is_nowhere_in_the_database(quick_scene: Scene) -> None:
    _publish(quick_scene)
    hosting_id = _hosting(quick_scene)
    assert _patch(quick_scene, hosting_id, secrets={"PASSWORD": "canary-7f3a"}).status_code == 200
    with quick_scene.db.read() as session:
        for table in METADATA.sorted_tables:
            rows = session.connection().execute(table.select()).all()
            assert "canary-7f3a" not in repr(rows), table.name


def test_a_secret_waits_until_the_worker_has_published_its_key(quick_scene: Scene) -> None:
    answer = _patch(quick_scene, _hosting(quick_scene), secrets={"PASSWORD": "x"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_an_open_setting_replaces_a_secret_of_its_name_and_the_other_way_round(
    quick_scene: Scene,
) -> None:
    _publish(quick_scene)
    hosting_id = _hosting(quick_scene)
    _patch(quick_scene, hosting_id, secrets={"MODE": "hidden"})
    shown = _patch(quick_scene, hosting_id, settings={"MODE": "open"}).json()["items"][0]
    assert (shown["value"], shown["is_secret"]) == ("open", False)
    hidden = _patch(quick_scene, hosting_id, secrets={"MODE": "again"}).json()["items"][0]
    assert (hidden["value"], hidden["is_secret"]) == (None, True)


@pytest.mark.parametrize("name", ["lower", "1ST", "A-B", "", "EDUBBA_X", "LD_PRELOAD", "PATH"])
def test_a_name_of_the_platform_or_of_no_form_is_refused(quick_scene: Scene, name: str) -> None:
    answer = _patch(quick_scene, _hosting(quick_scene), settings={name: "x"})
    assert (answer.status_code, answer.json()["code"]) == (409, "setting_refused")


def test_a_megabyte_of_settings_is_refused_and_nothing_is_lost(quick_scene: Scene) -> None:
    hosting_id = _hosting(quick_scene)
    _patch(quick_scene, hosting_id, settings={"KEPT": "yes"})
    large = {f"N{number}": "x" * 30_000 for number in range(30)}
    answer = _patch(quick_scene, hosting_id, settings=large)
    assert (answer.status_code, answer.json()["code"]) == (409, "settings_too_large")
    shown = quick_scene.owner.get(f"/v1/hostings/{hosting_id}/settings").json()
    assert [one["name"] for one in shown["items"]] == ["KEPT"]


def test_a_site_of_files_takes_no_settings(quick_scene: Scene) -> None:
    hosting_id = quick_scene.owner.post("/v1/requests", a_wish()).json()["hosting"]
    answer = _patch(quick_scene, hosting_id, settings={"A": "b"})
    assert (answer.status_code, answer.json()["code"]) == (409, "settings_not_taken")


def test_a_stale_if_match_changes_nothing(quick_scene: Scene) -> None:
    hosting_id = _hosting(quick_scene)
    path = f"/v1/hostings/{hosting_id}/settings"
    tag = quick_scene.owner.get(path).headers["etag"]
    _patch(quick_scene, hosting_id, settings={"A": "1"})
    answer = quick_scene.developer.request(
        "PATCH", path, json={"settings": {"A": "2"}}, headers={"If-Match": tag}
    )
    assert answer.status_code == 412


@given(st.dictionaries(st.text(max_size=70), st.text(max_size=40_000), max_size=5))
def test_what_is_accepted_is_bounded(changes: dict[str, str]) -> None:
    try:
        check_settings({}, dict(changes))
    except (SettingRefused, SettingsTooLarge):
        return
    assert all(len(value.encode()) <= 32 * 1024 for value in changes.values())
    assert all(name.isascii() and name == name.upper() for name in changes)

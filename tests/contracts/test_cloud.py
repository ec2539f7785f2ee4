"""What every cloud keeps: one suite, memory and real containers on this machine."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from control_plane.kit.errors import Refused, Unavailable
from control_plane.kit.ids import new_id
from control_plane.ports.cloud.memory import STATIC_SITE
from control_plane.ports.cloud.port import (
    Cloud,
    Fence,
    ServerSpec,
    ServerState,
    Target,
    TenantSpec,
    WireSpec,
)
from tests.contracts.clouds import Stage
from tests.locald.world import Release

HOUR = timedelta(hours=1)
NONCE_PATH = "/.well-known/edubba/deployment"


def test_a_server_is_made_once_and_adopted_ever_after(stage: Stage) -> None:
    spec = stage.a_spec()
    assert stage.cloud.observe_server(spec.server_id).state is ServerState.ABSENT
    first = stage.running(spec)
    assert first == stage.cloud.ensure_server(spec, stage.fence)
    assert first == stage.cloud.observe_server(spec.server_id)
    assert (first.state, first.image) == (ServerState.RUNNING, spec.image)
    assert first.address is not None


def test_a_release_is_served_byte_for_byte_with_its_nonce(stage: Stage) -> None:
    spec = stage.a_server()
    content = bytes(range(256)) * 300
    release = Release(
        stage.folder,
        {"index.html": b"<h1>Ur</h1>", "صور/خريطة.bin": content, "a/b/index.html": b"deep"},
    )
    release.deploy(stage.cloud, spec.server_id, stage.fence)
    assert stage.get(spec, "/") == (200, b"<h1>Ur</h1>")
    assert stage.get(spec, "/صور/خريطة.bin") == (200, content)
    assert stage.get(spec, "/a/b/") == (200, b"deep")
    assert stage.get(spec, "/a/b")[0] == 301
    assert stage.get(spec, NONCE_PATH) == (200, release.nonce.encode())
    assert stage.get(spec, "/absent")[0] == 404


def test_the_sites_own_page_tells_that_a_page_is_not_there(stage: Stage) -> None:
    spec = stage.a_server()
    stage.a_release(index__html=b"x", **{"404__html": "غير موجود".encode()}).deploy(
        stage.cloud, spec.server_id, stage.fence
    )
    assert stage.get(spec, "/absent") == (404, "غير موجود".encode())


def test_only_missing_blobs_are_carried(stage: Stage) -> None:
    spec = stage.a_server()
    first = stage.a_release(index__html=b"one", same__css=b"same")
    second = stage.a_release(index__html=b"two", same__css=b"same")
    assert len(first.put(stage.cloud, spec.server_id, stage.fence)) == 2
    assert len(second.put(stage.cloud, spec.server_id, stage.fence)) == 1
    assert second.put(stage.cloud, spec.server_id, stage.fence) == frozenset()


def test_an_assembled_release_is_not_live_until_switched_and_may_be_switched_back(
    stage: Stage,
) -> None:
    spec, cloud = stage.a_server(), stage.cloud
    old, new = stage.a_release(index__html=b"old"), stage.a_release(index__html=b"new")
    old.deploy(cloud, spec.server_id, stage.fence)
    new.assemble(cloud, spec.server_id, stage.fence)
    new.assemble(cloud, spec.server_id, stage.fence)
    assert stage.get(spec, "/") == (200, b"old")
    cloud.switch_release(spec.server_id, new.deployment_id, stage.fence)
    cloud.switch_release(spec.server_id, new.deployment_id, stage.fence)
    assert stage.get(spec, "/") == (200, b"new")
    cloud.switch_release(spec.server_id, old.deployment_id, stage.fence)
    assert stage.get(spec, NONCE_PATH) == (200, old.nonce.encode())


def test_a_failed_check_says_what_was_seen_and_leaves_the_old_release_live(stage: Stage) -> None:
    spec, cloud = stage.a_server(), stage.cloud
    stage.a_release(index__html=b"old").deploy(cloud, spec.server_id, stage.fence)
    new = stage.a_release(other__html=b"new")
    new.assemble(cloud, spec.server_id, stage.fence)
    failed = cloud.check_release(spec.server_id, new.deployment_id, "/index.html")
    assert not failed.passed
    assert "404" in failed.output
    assert cloud.check_release(spec.server_id, new.deployment_id, "/other.html").passed
    assert stage.get(spec, "/") == (200, b"old")


def test_content_that_is_not_what_its_digest_says_is_refused(settled: Stage) -> None:
    spec = settled.server
    digest, path = next(iter(settled.a_release(index__html=b"true").blobs().items()))
    path.write_bytes(b"else")
    with pytest.raises(Refused) as refused:
        settled.cloud.put_blobs(spec.server_id, iter([(digest, path)]), settled.fence)
    assert refused.value.code == "digest_mismatch"
    assert settled.cloud.list_missing_blobs(spec.server_id, [digest]) == {digest}


def test_a_full_disk_is_a_clear_refusal_and_the_site_stays_up(stage: Stage) -> None:
    spec, cloud = stage.a_server(), stage.cloud
    stage.a_release(index__html=b"up").deploy(cloud, spec.server_id, stage.fence)
    stage.world.leave_room(spec)
    blobs = stage.a_release(large__bin=b"\1" * (spec.limits.disk_mib * 1024 * 1024)).blobs()
    with pytest.raises(Refused) as refused:
        cloud.put_blobs(spec.server_id, iter(blobs.items()), stage.fence)
    assert refused.value.code == "disk_full"
    assert stage.get(spec, "/") == (200, b"up")
    stage.a_release(index__html=b"next").deploy(cloud, spec.server_id, stage.fence)
    assert stage.get(spec, "/") == (200, b"next")


@pytest.mark.parametrize("path", ["../up", "/absolute", "a//b", "a/./b", "", "cafe\u0301", "a/\0"])
def test_a_path_that_leads_elsewhere_is_refused(settled: Stage, path: str) -> None:
    spec = settled.server
    release = Release(settled.folder, {path: b"evil"})
    release.put(settled.cloud, spec.server_id, settled.fence)
    with pytest.raises(Refused) as refused:
        settled.cloud.assemble_release(spec.server_id, release.spec, settled.fence)
    assert refused.value.code == "path_malformed"


def test_a_release_without_its_blobs_is_refused(settled: Stage) -> None:
    spec = settled.server
    release = settled.a_release(index__html=b"never sent")
    with pytest.raises(Refused) as refused:
        settled.cloud.assemble_release(spec.server_id, release.spec, settled.fence)
    assert refused.value.code == "blob_missing"
    with pytest.raises(Refused) as refused:
        settled.cloud.switch_release(spec.server_id, release.deployment_id, settled.fence)
    assert refused.value.code == "release_missing"


def test_pruning_keeps_the_live_release_and_those_that_are_named(stage: Stage) -> None:
    spec, cloud = stage.a_server(), stage.cloud
    gone, kept, live = (stage.a_release(index__html=text) for text in (b"1", b"2", b"3"))
    for release in (gone, kept, live):
        release.deploy(cloud, spec.server_id, stage.fence)
    cloud.prune_releases(spec.server_id, [kept.deployment_id], stage.fence)
    assert stage.get(spec, "/") == (200, b"3")
    assert cloud.list_missing_blobs(spec.server_id, gone.blobs()) == gone.blobs().keys()
    cloud.switch_release(spec.server_id, kept.deployment_id, stage.fence)
    assert stage.get(spec, "/") == (200, b"2")
    with pytest.raises(Refused):
        cloud.switch_release(spec.server_id, gone.deployment_id, stage.fence)


def test_a_stopped_server_keeps_its_data(stage: Stage) -> None:
    spec, cloud = stage.a_server(), stage.cloud
    stage.a_release(index__html=b"kept").deploy(cloud, spec.server_id, stage.fence)
    for _ in range(2):
        cloud.stop_server(spec.server_id, stage.fence)
        assert cloud.observe_server(spec.server_id).state is ServerState.STOPPED
    with pytest.raises(Unavailable):
        cloud.list_missing_blobs(spec.server_id, [])
    assert stage.running(spec).state is ServerState.RUNNING
    assert stage.get(spec, "/") == (200, b"kept")


def test_a_dead_process_is_seen_and_mended_with_its_data(stage: Stage) -> None:
    spec, cloud = stage.a_server(), stage.cloud
    stage.a_release(index__html=b"kept").deploy(cloud, spec.server_id, stage.fence)
    stage.world.lose_process(spec)
    assert cloud.observe_server(spec.server_id).state is ServerState.STOPPED
    assert stage.running(spec).state is ServerState.RUNNING
    assert stage.get(spec, "/") == (200, b"kept")


def test_destroying_is_final_and_may_be_repeated(stage: Stage) -> None:
    spec, cloud = stage.a_server(), stage.cloud
    stage.a_release(index__html=b"gone").deploy(cloud, spec.server_id, stage.fence)
    for _ in range(2):
        cloud.destroy_server(spec.server_id, stage.fence)
        assert cloud.observe_server(spec.server_id).state is ServerState.ABSENT
    stage.running(spec)
    assert stage.get(spec, "/")[0] == 404


def test_a_tenant_with_a_server_in_it_is_not_removed(stage: Stage) -> None:
    spec = stage.a_server()
    with pytest.raises(Refused) as refused:
        stage.cloud.destroy_tenant(stage.tenant_id, stage.fence)
    assert refused.value.code == "tenant_not_empty"
    stage.cloud.destroy_server(spec.server_id, stage.fence)
    for _ in range(2):
        stage.cloud.destroy_tenant(stage.tenant_id, stage.fence)


def test_everything_is_listed_with_its_epoch_and_whether_it_ever_held_data(stage: Stage) -> None:
    empty, full = stage.a_server(), stage.a_server()
    stage.a_release(index__html=b"x").put(stage.cloud, full.server_id, stage.fence)
    stage.cloud.prune_releases(full.server_id, [], stage.fence)
    found = {item.object_id: item for item in stage.cloud.list_objects()}
    assert found[stage.tenant_id].kind == "tenant"
    assert (found[full.server_id].kind, found[full.server_id].epoch) == ("server", 1)
    assert found[full.server_id].holds_data
    assert not found[empty.server_id].holds_data
    assert found[empty.server_id].tenant_id == stage.tenant_id


def a_wire(spec: ServerSpec) -> WireSpec:
    return WireSpec(new_id("att"), spec.tenant_id, spec.server_id, new_id("hst"), 80)


CHANGES: dict[str, Callable[[Cloud, ServerSpec, Release, Fence], None]] = {
    "ensure_tenant": lambda c, s, _, f: c.ensure_tenant(TenantSpec(s.tenant_id, new_id("agy")), f),
    "ensure_server": lambda c, s, _, f: (c.ensure_server(s, f), None)[1],
    "stop_server": lambda c, s, _, f: c.stop_server(s.server_id, f),
    "destroy_server": lambda c, s, _, f: c.destroy_server(s.server_id, f),
    "destroy_tenant": lambda c, s, _, f: c.destroy_tenant(s.tenant_id, f),
    "ensure_wire": lambda c, s, _, f: (c.ensure_wire(a_wire(s), f), None)[1],
    "remove_wire": lambda c, _s, _r, f: c.remove_wire(new_id("att"), f),
    "put_blobs": lambda c, s, r, f: c.put_blobs(s.server_id, iter(r.blobs().items()), f),
    "assemble_release": lambda c, s, r, f: c.assemble_release(s.server_id, r.spec, f),
    "switch_release": lambda c, s, r, f: c.switch_release(s.server_id, r.deployment_id, f),
    "prune_releases": lambda c, s, _, f: c.prune_releases(s.server_id, [], f),
    "open_run": lambda c, s, _, f: (c.open_run(s.server_id, new_id("run"), HOUR, f), None)[1],
    "close_run": lambda c, _s, _r, f: c.close_run(new_id("run"), f),
}


@pytest.mark.parametrize("change", CHANGES)
def test_who_has_lost_the_lease_changes_nothing(settled: Stage, change: str) -> None:
    spec = settled.server
    release = settled.a_release(index__html=b"x")
    release.deploy(settled.cloud, spec.server_id, settled.fence)
    older = replace(settled.fence, counter=settled.fence.counter - 1)
    with pytest.raises(Refused) as refused:
        CHANGES[change](settled.cloud, spec, release, older)
    assert refused.value.code == "stale_fence"
    assert settled.get(spec, "/") == (200, b"x")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"image": "sha256:" + "0" * 64}, "image_missing"),
        ({"tenant_id": new_id("ten")}, "tenant_missing"),
        ({"server_id": new_id("hst")}, "allocation_taken"),
    ],
)
def test_a_server_that_cannot_be_is_refused(
    settled: Stage, change: dict[str, Any], code: str
) -> None:
    spec = settled.server
    with pytest.raises(Refused) as refused:
        settled.cloud.ensure_server(replace(spec, **change), settled.fence)
    assert refused.value.code == code
    assert settled.cloud.observe_server(spec.server_id).state is ServerState.RUNNING


def test_a_disk_does_not_shrink_but_grows_with_its_data(stage: Stage) -> None:
    spec, cloud = stage.a_server(), stage.cloud
    stage.a_release(index__html=b"kept").deploy(cloud, spec.server_id, stage.fence)
    address = cloud.observe_server(spec.server_id).address
    larger = replace(spec, limits=replace(spec.limits, disk_mib=128))
    assert stage.running(larger).address == address
    with pytest.raises(Refused) as refused:
        cloud.ensure_server(spec, stage.fence)
    assert refused.value.code == "disk_cannot_shrink"
    stage.a_release(large__bin=b"\1" * (90 << 20)).put(cloud, spec.server_id, stage.fence)
    assert stage.get(spec, "/") == (200, b"kept")


def test_a_server_reaches_nothing_and_the_probe_notices_when_it_does(stage: Stage) -> None:
    spec, _ = stage.a_server(), stage.a_server()
    targets = [Target("documentation", "198.51.100.1", 443)]
    report = stage.cloud.probe_isolation(spec.server_id, targets)
    assert report.is_isolated, report
    assert "documentation" in report.tried
    stage.world.lose_isolation(spec)
    assert stage.cloud.probe_isolation(spec.server_id, targets).reached
    stage.cloud.ensure_server(spec, stage.fence)
    assert stage.cloud.probe_isolation(spec.server_id, targets).is_isolated


def test_several_servers_are_made_at_once(stage: Stage) -> None:
    specs = [stage.a_spec() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        facts = list(pool.map(stage.running, specs))
    assert [fact.state for fact in facts] == [ServerState.RUNNING] * 4


def test_a_server_that_is_not_there_takes_no_content(settled: Stage) -> None:
    blobs = settled.a_release(index__html=b"x").blobs()
    with pytest.raises(Unavailable):
        settled.cloud.put_blobs(new_id("hst"), iter(blobs.items()), settled.fence)


def test_the_family_of_static_sites_has_an_image(settled: Stage) -> None:
    images = [one for one in settled.cloud.list_images() if one.family == STATIC_SITE.family]
    assert images
    assert all(image.digest.startswith("sha256:") for image in images)


def test_a_run_gets_one_access_to_a_server_however_often_it_is_opened(settled: Stage) -> None:
    spec, run_id = settled.server, new_id("run")
    access = settled.cloud.open_run(spec.server_id, run_id, HOUR, settled.fence)
    assert access == settled.cloud.open_run(spec.server_id, run_id, HOUR, settled.fence)
    assert (access.server_id, bool(access.secrets)) == (spec.server_id, True)
    assert "ansible_connection" in access.variables
    other = settled.cloud.open_run(spec.server_id, new_id("run"), HOUR, settled.fence)
    assert other.secrets != access.secrets


def test_what_an_access_must_keep_secret_is_not_shown_with_it(settled: Stage) -> None:
    spec = settled.server
    access = settled.cloud.open_run(spec.server_id, new_id("run"), HOUR, settled.fence)
    assert not any(secret in repr(access) for secret in access.secrets.values())


def test_a_closed_run_gets_another_access_when_it_is_opened_again(settled: Stage) -> None:
    spec, run_id = settled.server, new_id("run")
    before = settled.cloud.open_run(spec.server_id, run_id, HOUR, settled.fence)
    for _ in range(2):
        settled.cloud.close_run(run_id, settled.fence)
    after = settled.cloud.open_run(spec.server_id, run_id, HOUR, settled.fence)
    assert after.secrets != before.secrets


def test_no_run_is_opened_on_a_server_that_does_not_run(stage: Stage) -> None:
    spec = stage.a_server()
    stage.cloud.stop_server(spec.server_id, stage.fence)
    for server_id in (spec.server_id, new_id("hst")):
        with pytest.raises(Unavailable) as unavailable:
            stage.cloud.open_run(server_id, new_id("run"), HOUR, stage.fence)
        assert unavailable.value.code == "server_unreachable"


def test_a_server_counts_as_holding_data_once_a_run_may_command_it(stage: Stage) -> None:
    spec = stage.a_server()
    stage.cloud.open_run(spec.server_id, new_id("run"), HOUR, stage.fence)
    listed = {item.object_id: item.holds_data for item in stage.cloud.list_objects()}
    assert listed[spec.server_id]

"""A run's secrets are in its memory and in the server: in no file, log or argument."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.ports.automation.port import RunState
from tests.automation.world import RunnerWorld
from tests.locald.world import PYTHON, RUNNER_ID

pytestmark = pytest.mark.root

CANARY = "canary-5f2b8f19-\"'$&-ن"
PARTS = [part.encode() for part in ("canary-5f2b8f19", "Y2FuYXJ5LTVmMmI4ZjE5")]  # also as base64


def process_texts() -> Iterator[tuple[str, bytes]]:
    for path in Path("/proc").glob("[0-9]*"):
        if path.name == str(os.getpid()):
            continue
        for name in ("cmdline", "environ"):
            try:
                yield f"{path}/{name}", (path / name).read_bytes()
            except OSError:
                continue


def file_texts(world: RunnerWorld) -> Iterator[tuple[str, bytes]]:
    names = world.locald.names
    roots = [world.folder, names.exec_dir, names.fences_dir, names.tenants_dir]
    # Unlike a glob, a walk does not mind that folders come and go.
    walks = (walk for root in roots for walk in os.walk(root))
    files = [Path(folder) / name for folder, _, inside in walks for name in inside]
    for path in [*files, world.log, world.locald.log]:
        try:
            if path.is_file() and not path.is_symlink():
                yield str(path), path.read_bytes()
        except OSError:
            continue  # it was there a moment ago


def where_it_is(world: RunnerWorld, *more: bytes) -> list[str]:
    texts = [*process_texts(), *file_texts(world)]
    return [name for name, text in texts if any(part in text for part in (*PARTS, *more))]


def test_a_secret_is_in_no_file_log_argument_or_environment_while_it_is_used(
    world: RunnerWorld, server: str
) -> None:
    spec = world.a_spec("hosting_secret", server, secrets={"word": CANARY})
    ticket = spec.servers[0].secrets["edubba_local_ticket"].encode()
    world.automation.start(spec, world.fence)
    looks = 0
    while not world.automation.observe(spec.run_id).state.is_over:
        assert where_it_is(world, ticket) == []
        looks += 1
    assert looks >= 3
    assert world.automation.observe(spec.run_id).state is RunState.SUCCEEDED
    assert where_it_is(world, ticket) == []


def test_a_secret_that_a_play_gives_away_is_gone_when_the_run_is_over(
    world: RunnerWorld, server: str
) -> None:
    leaking = {"secrets": {"word": CANARY}, "variables": {"leak": True}}
    fact = world.run("hosting_secret", server, **leaking)
    assert fact.state is RunState.FAILED
    assert where_it_is(world) == []
    assert "canary" not in repr(fact)


def test_the_look_for_the_secret_would_find_it(world: RunnerWorld) -> None:
    (world.folder / "planted").write_text(f"x {CANARY} y")
    try:
        assert where_it_is(world) == [str(world.folder / "planted")]
    finally:
        (world.folder / "planted").unlink()


def test_the_worker_side_shows_no_secret_of_a_wish(world: RunnerWorld, server: str) -> None:
    spec = world.a_spec("hosting_secret", server, secrets={"word": CANARY})
    assert "canary" not in repr(spec)
    assert spec.servers[0].secrets["edubba_local_ticket"] not in repr(spec)


@pytest.mark.parametrize("name", ["mem", "environ", "maps"])
def test_another_process_of_the_same_user_cannot_read_the_runners_memory(
    world: RunnerWorld, name: str
) -> None:
    assert world.process
    program = f"open('/proc/{world.process.pid}/{name}', 'rb').read(1)"
    argv = ["setpriv", "--reuid", str(RUNNER_ID), "--regid", str(RUNNER_ID), "--clear-groups"]
    done = subprocess.run([*argv, *PYTHON, "-c", program], check=False, capture_output=True)
    assert b"PermissionError" in done.stderr


def test_what_is_kept_of_runs_can_be_read_by_the_runner_alone(
    world: RunnerWorld, server: str
) -> None:
    world.run("hosting_nothing", server)
    for path in (world.folder / "runs").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert (world.folder / "runs").stat().st_mode & 0o077 == 0

"""What a run may do in a server in OpenStack, and that a closed one does nothing more."""

import time
from dataclasses import replace

import pytest

from control_plane.kit.errors import Refused
from tests.guest.world import World, fence_options
from tests.waiting import wait_until

pytestmark = pytest.mark.root


def later(seconds: int = 300) -> int:
    return int(time.time()) + seconds


def sleepers(world: World, seconds: str) -> list[str]:
    """Return those that sleep so long in a server: each test has a number of its own."""
    said = world.in_server("for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; echo; done")
    return [line for line in said.splitlines() if line.strip() == f"sleep {seconds}"]


def test_a_run_commands_its_server_as_root_with_few_rights(world: World) -> None:
    _, key = world.open_run(world.a_fence(), later())
    assert key.do("id -u; echo no >&2; exit 7") == (7, "0\nno\n")
    said = key.do("grep -E 'CapEff|NoNewPrivs' /proc/self/status; touch /etc/x; id -u app")[1]
    assert "CapEff:\t00000000000004fb" in said
    assert "NoNewPrivs:\t1" in said
    assert "Read-only file system" in said


def test_a_run_sees_the_server_and_not_the_machine_around_it(world: World) -> None:
    _, key = world.open_run(world.a_fence(), later())
    said = key.do("tr '\\0' ' ' < /proc/1/cmdline; ls /sys/fs/cgroup /dev; cat /proc/*/comm")[1]
    assert said.startswith("nginx")
    assert "console" not in said
    assert "sshd" not in said


def test_a_run_that_was_not_opened_does_nothing(world: World) -> None:
    run_id, key = world.open_run(world.a_fence(), later())
    fence = world.a_fence()
    world.ask("close", run_id, *fence_options(fence))
    code, said = key.do("id -u")
    assert (code, "run_not_open" in said) == (3, True)


def test_closing_ends_all_that_a_run_ever_started(world: World) -> None:
    fence = world.a_fence()
    run_id, key = world.open_run(fence, later())
    # Two leave their session, one loses its parent, one simply stays.
    wish = "setsid sleep 4321 & setsid sh -c 'sleep 4321; :' & (sleep 4321 &) ; sleep 4321"
    with key.start(wish) as process:
        wait_until(lambda: len(sleepers(world, "4321")) >= 4)
        world.ask("close", run_id, *fence_options(fence))
        assert sleepers(world, "4321") == []
        process.communicate(timeout=30)
    assert key.do("true")[0] == 3


def test_what_kills_its_watcher_does_not_get_away(world: World) -> None:
    fence = world.a_fence()
    run_id, key = world.open_run(fence, later())
    key.do("setsid sleep 5432 & kill -9 $PPID")
    world.ask("close", run_id, *fence_options(fence))
    assert sleepers(world, "5432") == []


def test_a_run_ends_when_its_time_is_over(world: World) -> None:
    _, key = world.open_run(world.a_fence(), later(2))
    code, _ = key.do("sleep 6543")
    assert code == 124
    assert sleepers(world, "6543") == []
    assert key.do("true")[0] == 3


def test_a_command_ends_when_nobody_listens_any_more(world: World) -> None:
    _, key = world.open_run(world.a_fence(), later())
    with key.start("sleep 7654") as process:
        wait_until(lambda: sleepers(world, "7654"))
        process.kill()
    wait_until(lambda: not sleepers(world, "7654"))


def test_a_run_whose_life_was_claimed_again_is_shut_out_until_it_is_opened_anew(
    world: World,
) -> None:
    fence = world.a_fence()
    run_id, key = world.open_run(fence, later())
    newer = replace(fence, counter=fence.counter + 1)
    other, _ = world.open_run(newer, later())
    code, said = key.do("true")
    assert (code, "stale_fence" in said) == (3, True)
    with pytest.raises(Refused) as refused:
        world.ask("open", run_id, *fence_options(fence), "--until", str(later()))
    assert refused.value.code == "stale_fence"
    world.ask("open", run_id, *fence_options(newer), "--until", str(later()))
    assert key.do("true")[0] == 0
    assert other != run_id


def test_a_run_is_of_one_life(world: World) -> None:
    run_id, _ = world.open_run(world.a_fence(), later())
    with pytest.raises(Refused) as refused:
        world.ask("open", run_id, *fence_options(world.a_fence()), "--until", str(later()))
    assert refused.value.code == "run_of_another_life"


def test_a_run_is_named_as_runs_are(world: World) -> None:
    with pytest.raises(Refused) as refused:
        world.ask("open", "../../x", *fence_options(world.a_fence()), "--until", str(later()))
    assert refused.value.code == "bad_request"

"""A server that lies to Ansible harms its own run, and neither the runner nor who reads of it."""

import json
import time
import unicodedata
from datetime import timedelta

import pytest

from control_plane.kit.ids import new_id
from control_plane.ports.automation.port import OUTPUT_MAX, TEXT_MAX, RunFact, RunState
from tests.automation.world import RunnerWorld, in_server

pytestmark = pytest.mark.root

EVIL = {
    "nothing": ("cat >/dev/null", "No start of json"),
    "broken JSON": ('cat >/dev/null; printf \'{"ansible_facts": {"a": \'', "No end of json"),
    "other JSON": ("cat >/dev/null; printf '[1, 2]'", "No start of json"),
    "JSON without end": ("cat >/dev/null; head -c 300000 /dev/zero | tr '\\0' '['", "[[[["),
    "no text": ("cat >/dev/null; head -c 100000 /dev/urandom", "failed"),
    "no reading": ('printf \'{"failed": true, "msg": "evil"}\'', "evil"),
    "escaped escapes": (
        'cat >/dev/null; printf \'{"failed": true, "msg": "\\\\u001b[2Jevil\\\\u202e"}\'',
        "evil",
    ),
    "escapes": ("cat >/dev/null; printf '\\033[2J\\033]0;x\\007evil'; exit 3", "evil"),
    "complaints": ("cat >/dev/null; yes evil | head -c 3000000 >&2; exit 3", "evil"),
}


@pytest.mark.parametrize("name", EVIL)
def test_a_lie_fails_its_own_run_and_is_read_as_text(
    world: RunnerWorld, server: str, name: str
) -> None:
    program, said = EVIL[name]
    in_server(world, server, program)
    fact = world.run("hosting_hostile", server)
    assert (fact.state, fact.reason) == (RunState.FAILED, "task_failed")
    assert said in fact.output
    assert said in fact.events[-1].text
    assert_harmless(fact)
    assert world.run("hosting_nothing", server).state is RunState.SUCCEEDED


def test_facts_that_would_take_over_the_run_are_text_like_any_other(
    world: RunnerWorld, server: str
) -> None:
    template = "{{ lookup('pipe', 'id') }}{{ edubba_local_ticket }}"
    facts = {
        "x": template,
        "ansible_connection": "local",
        "ansible_python_interpreter": "/bin/false",
        "edubba_local_ticket": "stolen",
    }
    answer = json.dumps({"changed": False, "ansible_facts": facts})
    in_server(world, server, f"cat >/dev/null; cat <<'END'\n{answer}\nEND")
    fact = world.run("hosting_hostile", server)
    assert fact.state is RunState.SUCCEEDED
    assert fact.result["facts"]["x"] == template
    assert_harmless(fact)
    assert world.run("hosting_nothing", server).state is RunState.SUCCEEDED


def test_oversized_facts_are_refused(world: RunnerWorld, server: str) -> None:
    in_server(
        world,
        server,
        'cat >/dev/null; printf \'{"ansible_facts": {"x": "\'; head -c 3000000 /dev/zero |'
        " tr '\\0' x; printf '\"}}'",
    )
    fact = world.run("hosting_hostile", server)
    assert (fact.state, fact.reason) == (RunState.FAILED, "result_unusable")
    assert_harmless(fact)


@pytest.mark.parametrize("playbook", ["hosting_hostile", "hosting_raw"])
def test_output_without_end_is_cut_off(world: RunnerWorld, server: str, playbook: str) -> None:
    in_server(world, server, "exec cat /dev/zero")
    fact = world.run(playbook, server)
    assert (fact.state, fact.reason) == (RunState.FAILED, "unreachable")
    assert "wrote more than" in fact.output
    assert_harmless(fact)


def test_a_server_that_says_nothing_for_ever_is_left_when_time_is_up(
    world: RunnerWorld, server: str
) -> None:
    in_server(world, server, "exec sleep 976")
    began = time.monotonic()
    fact = world.run("hosting_raw", server, timeout=timedelta(seconds=2))
    assert (fact.state, fact.reason) == (RunState.FAILED, "timed_out")
    assert time.monotonic() - began < 30


def test_a_server_that_is_not_there_is_unreachable(world: RunnerWorld) -> None:
    spec = world.locald.a_running_server()
    wish = world.a_spec("hosting_nothing", spec.server_id)
    world.locald.cloud.stop_server(spec.server_id, world.fence)
    fact = world.carry_out(wish)
    assert (fact.state, fact.reason, fact.counts.unreachable) == (
        RunState.FAILED,
        "unreachable",
        1,
    )
    assert "server_unreachable" in fact.output


def test_a_run_that_was_closed_cannot_go_on(world: RunnerWorld, server: str) -> None:
    wish = world.a_spec("hosting_nothing", server)
    world.locald.cloud.close_run(wish.run_id, world.fence)
    fact = world.carry_out(wish)
    assert (fact.state, fact.reason) == (RunState.FAILED, "unreachable")
    assert "run_not_open" in fact.output


def test_the_runner_reaches_no_server_but_that_of_the_run(world: RunnerWorld, server: str) -> None:
    other = world.locald.a_running_server().server_id
    run_id = new_id("run")
    own, foreign = world.open_run(run_id, server), world.open_run(new_id("run"), other)
    wish = world.a_spec("hosting_nothing", server)
    for access in (foreign, type(own)(other, own.variables, own.secrets)):
        fact = world.carry_out(type(wish)(new_id("run"), "hosting_nothing", [access]))
        expected = RunState.SUCCEEDED if access is foreign else RunState.FAILED
        assert fact.state is expected


def assert_harmless(fact: RunFact) -> None:
    assert len(fact.output) <= OUTPUT_MAX
    for text in (fact.output, *(event.text for event in fact.events)):
        assert not [c for c in text if unicodedata.category(c) == "Cc" and c not in "\n\t"]
        assert "\u202e" not in text
    assert all(len(event.text) <= TEXT_MAX for event in fact.events)

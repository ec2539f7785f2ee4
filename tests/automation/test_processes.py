"""A process that is said to be dead is dead, with all that descends from it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.ports.automation.processes import (
    Process,
    find_process,
    kill_by_command,
    kill_descendants,
    kill_tree,
    list_descendants,
)
from tests.waiting import wait_until

# A tree like Ansible's: each level is a session of its own, one ignores what can be ignored.
TREE = """
import os, signal, sys, time
for depth in range(3):
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            os.setsid()
        time.sleep(975)
        os._exit(0)
print("ready", flush=True)
time.sleep(975)
"""
# Makes children faster than anybody counts them.
FORKING = """
import os, time
print("ready", flush=True)
for _ in range(400):
    if os.fork() == 0:
        time.sleep(975)
        os._exit(0)
    time.sleep(0.001)
time.sleep(975)
"""


@pytest.fixture
def trees() -> Iterator[list["subprocess.Popen[bytes]"]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        kill_descendants(process.pid)
        process.kill()
        process.wait()


def start(trees: list["subprocess.Popen[bytes]"], program: str, *more: str) -> Process:
    process = subprocess.Popen([sys.executable, "-c", program, *more], stdout=subprocess.PIPE)
    trees.append(process)
    assert process.stdout
    with process.stdout as output:
        assert output.readline() == b"ready\n"
    found = find_process(process.pid)
    assert found
    return found


@pytest.mark.parametrize("program", [TREE, FORKING], ids=["sessions", "forking"])
def test_a_killed_tree_leaves_nothing(trees: list["subprocess.Popen[bytes]"], program: str) -> None:
    root = start(trees, program)
    wait_until(lambda: len(list_descendants(root.pid)) >= 6)
    below = list_descendants(root.pid)
    assert kill_tree(root)
    assert not root.is_alive
    assert [process for process in below if process.is_alive] == []
    assert list_descendants(root.pid) == []


def test_killing_what_is_dead_is_done_at_once(trees: list["subprocess.Popen[bytes]"]) -> None:
    root = start(trees, TREE)
    assert kill_tree(root)
    assert kill_tree(root)


def test_a_process_that_got_an_old_id_is_not_mistaken_for_the_old_one() -> None:
    own = find_process(os.getpid())
    assert own
    assert own.is_alive
    former = Process(own.pid, own.began - 1)
    assert not former.is_alive
    assert kill_tree(former)  # and this test goes on


def test_a_child_that_ended_and_was_not_waited_for_is_dead() -> None:
    child = subprocess.Popen(["/bin/true"])
    found = find_process(child.pid)
    assert found
    wait_until(lambda: "Z" in Path(f"/proc/{child.pid}/stat").read_text())
    assert not found.is_alive
    child.wait()


def test_strays_are_found_by_their_command_and_others_left_alone(
    trees: list["subprocess.Popen[bytes]"],
) -> None:
    mark = f"edubba-test-{os.getpid()}"
    marked, other = start(trees, TREE, mark), start(trees, TREE)
    assert kill_by_command(mark) >= 1
    assert not marked.is_alive
    assert other.is_alive

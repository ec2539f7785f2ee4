"""Kills workers, and daemon and runner under them, while the story is played on a real machine.

`python -m tests.faults.machine_kills REPORT HOW` finds daemon, runner and edge by the settings of
its environment, and runs in a process without threads. A machine can't be put back to where it
was. So each step is begun again and again: by a worker that is killed, or under which one of the
others is killed, each time at the next point that is not known yet, until none is left. What the
story comes to, scene by scene, must be what it comes to in memory without any kill.

HOW says which points there are: `kinds` takes each kind of effect once in the whole story, `all`
every point of every step of each life, in each scene.
"""

import gc
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from typing import Any, cast

from control_plane.engine.models import Life
from control_plane.engine.registry import Registry
from control_plane.kit import clock
from control_plane.kit.db import METADATA, Database
from control_plane.kit.log import configure
from control_plane.settings import Settings
from control_plane.worker import FLOWS
from tests.faults.centre import QuietCentre
from tests.faults.kills import fork
from tests.faults.machine import MachineWorld
from tests.faults.outlines import outline_of
from tests.faults.points import CLAIM, OUTCOME, Watch, WatchedDatabase, watched
from tests.faults.story import STORY, Scene
from tests.faults.world import World
from tests.waiting import wait_until

ON_MACHINES = [scene for scene in STORY if scene.is_on_machines]
VICTIMS = {"cloud": "daemon", "automation": "runner"}  # who does what a port's verbs ask for
DELAYS_S = {"kinds": (0.01,), "all": (0.0, 0.02)}  # making a server takes some 0.2
# What changes something, by the names that verbs have: of the others no kind has to be killed.
EFFECTS = (
    *("ensure_", "remove_", "destroy_", "stop_", "put", "assemble_", "switch_", "prune_"),
    *("retire", "restore", "delete", "issue_", "sign_", "open_", "close_", "start", "forget"),
)


@dataclass
class Plan:
    """Which kills are still to come: `known` are those that were done."""

    how: str
    place: object = None  # where a kill is not the same as elsewhere
    known: set[object] = field(default_factory=set)

    @staticmethod
    def last_of(place: object) -> object:
        """Return the name of what is known once a worker died with all done and nothing told."""
        return ("all but told", place)

    def wants_worker(self, number: int, what: str, *, is_after: bool) -> object | None:
        """Return the name of the kill at this point, or None."""
        if self.how == "all":
            return ("worker", self.place, number, what, is_after)  # attempts differ in what is left
        verb = what.rpartition(".")[2]
        if what in {CLAIM, OUTCOME} or (is_after and verb.startswith(EFFECTS)):
            return ("worker", what, is_after)
        return None  # nobody has to die of a look

    def wants_other(self, number: int, what: str, *, is_after: bool) -> list[tuple[Any, float]]:
        """Return the kills of who does what this call asks for: name and delay."""
        victim = VICTIMS.get(what.partition(".")[0])
        if is_after or victim is None or "," in what:
            return []
        # The worker first: when another dies too late, the step may be over for good.
        first = (
            self.last_of(self.place)
            if self.how == "all"
            else self.wants_worker(number, what, is_after=True)
        )
        if first not in {None, *self.known}:
            return []
        call: object = number if self.how == "all" else what
        return [((victim, self.place, call, delay), delay) for delay in DELAYS_S[self.how]]


class KillingWatch(Watch):
    """Does the first kill that is not known, and says which before it does."""

    def __init__(self, plan: Plan, others: Mapping[str, int], line: Connection) -> None:
        super().__init__()
        self._plan, self._others, self._line = plan, others, line
        self._is_armed = True

    def reach(self, what: str, *, is_after: bool) -> None:
        super().reach(what, is_after=is_after)
        if not self._is_armed:
            return
        number = len(self.points)
        for name, delay in self._plan.wants_other(number, what, is_after=is_after):
            if name not in self._plan.known:
                self._begin(name)
                _kill_after(delay, self._others[name[0]])
                return
        name = self._plan.wants_worker(number, what, is_after=is_after)
        if name is not None and name not in self._plan.known:
            self._begin(name)
            os.kill(os.getpid(), signal.SIGKILL)

    def _begin(self, name: object) -> None:
        self._is_armed = False
        self._line.send((name, str(self.points[-1])))


def _kill_after(delay: float, pid: int) -> None:
    if not delay:
        os.kill(pid, signal.SIGKILL)
        return
    timer = Timer(delay, os.kill, (pid, signal.SIGKILL))
    timer.daemon = True
    timer.start()


@dataclass
class Report:
    """What was killed where, and what the story came to that it should not have."""

    workers: list[str] = field(default_factory=list)
    daemons: list[str] = field(default_factory=list)
    runners: list[str] = field(default_factory=list)
    wrong: list[tuple[str, list[str]]] = field(default_factory=list)


class MachineKilling:
    """The story on a machine, with all the kills that its steps can take."""

    def __init__(self, settings: Settings, how: str, expected: list[list[str]]) -> None:
        self._world = MachineWorld(settings)
        self._plan = Plan(how)
        self._expected = expected
        self._scene = ""
        self._db = WatchedDatabase(settings.database_url.get_secret_value(), Watch())
        self._centre = QuietCentre(self._db, cast("World", self._world), Registry(FLOWS))
        self.report = Report()

    def run(self) -> None:
        passed = timedelta()
        for scene, expected in zip(ON_MACHINES, self._expected, strict=True):
            passed += scene.later
            with clock.shifted(passed):
                self._scene = scene.name
                scene.happens(self._centre)
                self._centre.settle(self._advance)
                self._judge(scene, expected)

    def _judge(self, scene: Scene, expected: list[str]) -> None:
        there, wanted = Counter(outline_of(self._centre)), Counter(expected)
        wrong = self._centre.faults()
        wrong += [f"- {line}" for line in (wanted - there).elements()]
        wrong += [f"+ {line}" for line in (there - wanted).elements()]
        if wrong:
            self.report.wrong.append((scene.name, wrong))

    def _advance(self, life_id: str) -> None:
        while True:
            before = self._life(life_id)
            if self._plan.how == "all":
                self._plan.place = (self._scene, before.id, before.step)
            while (ended := self._attempt(life_id)) == "killed":
                after = self._life(life_id)
                if (before.step, before.entered_at) != (after.step, after.entered_at):
                    break  # killed behind its outcome: the next step begins
            if ended == "nothing":
                return

    def _attempt(self, life_id: str) -> str:
        """Let a worker run the step; return `nothing`, `ran` or `killed`."""
        others = self._others()
        self._db.close()
        near, far = Pipe()
        worker = fork(lambda: self._work(life_id, others, far))
        far.close()
        told = []
        with near:
            while near.poll(None):
                try:
                    told.append(near.recv())
                except EOFError:
                    break
        ended = os.waitpid(worker, 0)[1]
        return self._understand(told, ended, others)

    def _understand(self, told: list[Any], ended: int, others: Mapping[str, int]) -> str:
        ran = told.pop() if told and isinstance(told[-1], bool) else None
        if ended and not (os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGKILL):
            self.report.wrong.append(("a worker broke down", [str(ended)]))
        for name, point in told:
            self._plan.known.add(name)
            if point == f"before {OUTCOME}":
                self._plan.known.add(self._plan.last_of(name[1]))
            if name[0] == "worker":
                self.report.workers.append(point)
            elif self._others()[name[0]] != others[name[0]]:
                killed = {"daemon": self.report.daemons, "runner": self.report.runners}
                killed[name[0]].append(point)
        if ended:
            self._centre.engine().release_leases()
            return "killed"
        return "ran" if ran else "nothing"

    def _others(self) -> dict[str, int]:
        """Return the process ids of daemon and runner, once both are there."""
        found: dict[str, int] = {}

        def are_there() -> bool:
            found.update(self._world.processes())
            return found.keys() >= set(VICTIMS.values())

        wait_until(are_there)
        return found

    def _work(self, life_id: str, others: Mapping[str, int], line: Connection) -> None:
        watch = KillingWatch(self._plan, others, line)
        self._db.watch = watch
        ports = watched(self._world.ports(self._centre.region_id), watch)
        line.send(self._centre.engine(ports=ports).run_step(life_id))

    def _life(self, life_id: str) -> Life:
        with self._db.read() as session:
            return session.get_one(Life, life_id)


def undisturbed(url: str) -> list[list[str]]:
    """Play the story in memory; return what it comes to at the end of each scene."""
    db = Database(url)
    METADATA.create_all(db.engine)
    centre = QuietCentre(db, World(), Registry(FLOWS))
    outlines, passed = [], timedelta()
    for scene in ON_MACHINES:
        passed += scene.later
        with clock.shifted(passed):
            scene.happens(centre)
            centre.settle(centre.engine().advance)
            outlines.append(outline_of(centre))
    db.close()
    return outlines


def main(place: str, how: str) -> None:
    configure(json_lines=False, level="CRITICAL")
    os.umask(0o007)
    with TemporaryDirectory() as folder:
        expected = undisturbed(f"sqlite:///{folder}/undisturbed.db")
    gc.collect()
    gc.freeze()
    killing = MachineKilling(Settings(), how, expected)
    killing.run()
    Path(place).write_text(json.dumps(vars(killing.report)))


if __name__ == "__main__":
    main(*sys.argv[1:])

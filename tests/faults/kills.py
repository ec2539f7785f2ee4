"""Kills a worker at every point of every step of the story, and looks at what comes of it.

`python -m tests.faults.kills URL REPORT LANE LANES HOW` runs in a process of its own, which has no
threads and has imported everything: so it can fork. It kills in every LANES-th scene: HOW `scenes`
each way through a step in each scene anew, `ways` only in the first that comes to it.

The story runs once, undisturbed, with all of its points watched. After each step world and rows
are put back to where it began, once for each of its points, and a worker is forked that dies
there. A successor takes over as a restarted worker does, and all lives come to rest. What is there
then must be what the undisturbed story shows at the end of the scene. At last world and rows are
put back to where the step ended, and the story goes on.
"""

import gc
import json
import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic

from control_plane.engine.engine import Engine
from control_plane.engine.models import Life
from control_plane.engine.registry import Flow, Registry
from control_plane.kit import clock
from control_plane.kit.log import configure
from control_plane.worker import FLOWS
from tests.faults.centre import NeverRests, QuietCentre
from tests.faults.copies import copies_of
from tests.faults.points import (
    Watch,
    WatchedDatabase,
    list_distinct,
    nothing_to_see,
    watched,
)
from tests.faults.story import STORY, Scene
from tests.faults.world import World, far_ports

KILLED_IN = [scene for scene in STORY if scene.has_kills]
LINES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Kill:
    """Where a worker died: at the point of this number in a step of a life."""

    scene: str
    kind: str
    step: str
    number: int
    point: str

    def __str__(self) -> str:
        return f"{self.scene}: killed in {self.kind}/{self.step} {self.point} ({self.number})"


@dataclass
class Report:
    """What was seen; `wrong` says what each kill left that an undisturbed story does not."""

    steps: set[tuple[str, str]] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)
    kills: list[Kill] = field(default_factory=list)
    wrong: list[tuple[str, list[str]]] = field(default_factory=list)

    def write(self, place: Path) -> None:
        told = {**asdict(self), "steps": sorted(self.steps), "calls": sorted(self.calls)}
        place.write_text(json.dumps(told))


class Killing:
    """The undisturbed story, and at the steps of some scenes the kills that branch off from it."""

    def __init__(
        self,
        url: str,
        killed_in: Sequence[Scene] = KILLED_IN,
        flows: Iterable[Flow] = FLOWS,
        *,
        in_each_scene: bool = True,
    ) -> None:
        self._killed_in, self._in_each_scene = killed_in, in_each_scene
        self._world = World()
        self._watch = Watch()
        self._db = WatchedDatabase(url, self._watch)
        self._copies = copies_of(self._db)
        self._centre = QuietCentre(self._db, self._world, Registry(flows))
        self._ways: set[object] = set()
        self._at_stake: list[str] = []
        self._seen: list[tuple[Kill, list[str]]] = []
        self._spent = timedelta()  # on kills: time that does not pass in the story
        self._report = Report()

    def run(self) -> Report:
        """Play the whole story."""
        passed = timedelta()
        for scene in STORY:
            passed += scene.later
            with clock.shifted(passed - self._spent):
                self._play(scene)
        self._db.close()
        return self._report

    def _play(self, scene: Scene) -> None:
        self._seen.clear()
        scene.happens(self._centre)
        self._watch.state = nothing_to_see
        if scene in self._killed_in:
            self._watch.state = self._world.state
            self._at_stake = self._centre.at_stake()
        ports = watched(self._world.ports(self._centre.region_id), self._watch)
        engine = self._centre.engine(ports=ports)

        def advance(life_id: str) -> None:
            while self._step(scene, engine, life_id):
                pass

        self._centre.settle(advance)
        self._judge(f"{scene.name}: nothing killed", self._centre.faults(), [])
        picture = self._centre.picture()
        for kill, seen in self._seen:
            self._judge(str(kill), seen, picture)

    def _judge(self, about: str, seen: list[str], expected: list[str]) -> None:
        there, wanted = Counter(seen), Counter(expected)
        wrong = [f"- {line}" for line in (wanted - there).elements()]
        wrong += [f"+ {line}" for line in (there - wanted).elements()]
        if wrong:
            self._report.wrong.append((about, wrong[:LINES_SHOWN]))

    def _step(self, scene: Scene, engine: Engine, life_id: str) -> bool:
        """Run one step undisturbed, and with its kills; False if there was none to run."""
        restore: Callable[[], None] | None = None
        if scene in self._killed_in:
            self._copies.save("before")
            restore = self._world.save()
        before = self._life(life_id)
        self._watch.points.clear()
        if not engine.run_step(life_id):
            return False
        points, after = list(self._watch.points), self._life(life_id)
        step = self._step_of(before)
        self._report.steps.add((before.kind, step))
        self._report.calls |= {point.what for point in points}
        way = (before.kind, step, after.step, tuple(point.what for point in points))
        if restore is not None and self._is_new(scene, way):
            kills = [
                Kill(scene.name, before.kind, step, number, str(points[number]))
                for number in list_distinct(points)
            ]
            self._kill(life_id, kills, restore)
        return True

    def _is_new(self, scene: Scene, way: object) -> bool:
        """Say whether this way through a step has to be killed.

        In each scene anew; but where nothing was at stake except the life's own place, only once.
        """
        before, self._at_stake = self._at_stake, self._centre.at_stake()
        is_anew = self._in_each_scene and before != self._at_stake
        known = (way, scene.name if is_anew else "")
        if known in self._ways:
            return False
        self._ways.add(known)
        return True

    def _kill(self, life_id: str, kills: list[Kill], restore: Callable[[], None]) -> None:
        self._copies.save("after")
        go_on, began = self._world.save(), monotonic()
        for kill in kills:
            self._copies.restore("before")
            restore()
            with clock.shifted(timedelta(seconds=began - monotonic())):
                self._seen.append((kill, self._seen_after(life_id, kill.number)))
        self._copies.restore("after")
        go_on()
        self._db.watch = self._watch
        self._report.kills += kills
        spent = timedelta(seconds=monotonic() - began)
        self._spent += spent
        clock._OFFSET.set(clock.offset() - spent)

    def _seen_after(self, life_id: str, number: int) -> list[str]:
        """Let a worker die at a point and a successor take over; return what it leaves."""
        self._db.watch = Watch(doom=number)
        ended = self._ended_worker(life_id)
        if not os.WIFSIGNALED(ended) or os.WTERMSIG(ended) != signal.SIGKILL:
            return [f"the worker was to be killed, and ended with {ended}"]
        self._db.watch = Watch()
        engine = self._centre.engine()
        engine.release_leases()
        try:
            self._centre.settle(engine.advance)
        except NeverRests:
            return ["the lives never come to rest"]
        return self._centre.faults() + self._centre.picture()

    def _ended_worker(self, life_id: str) -> int:
        near, far = Pipe()
        worker = fork(lambda: self._work(life_id, near, far))
        far.close()
        with near:
            self._world.serve(near)
        return os.waitpid(worker, 0)[1]

    def _work(self, life_id: str, near: Connection, far: Connection) -> None:
        near.close()
        self._db.engine.dispose(close=False)
        ports = watched(far_ports(self._centre.region_id, far), self._db.watch)
        self._centre.engine(ports=ports).run_step(life_id)

    def _step_of(self, life: Life) -> str:
        flow = self._centre.registry.find(life.kind, life.flow_version)
        assert flow is not None
        return flow.ending if life.ending_at and not life.is_winding_down else life.step

    def _life(self, life_id: str) -> Life:
        with self._db.read() as session:
            return session.get_one(Life, life_id)


def fork(act: Callable[[], object]) -> int:
    """Run `act` in a process of its own, which ends with it; return the process's id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        act()
        code = 0
    except BaseException:  # noqa: BLE001  # nothing of the parent's may go on in the child
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main(url: str, place: str, lane: str, lanes: str, how: str) -> None:
    configure(json_lines=False, level="ERROR")
    gc.collect()
    gc.freeze()  # what was imported is looked at no more, and stays shared with the workers
    gc.set_threshold(100_000, 20, 20)
    scenes = KILLED_IN[int(lane) :: int(lanes)]
    Killing(url, scenes, in_each_scene=how == "scenes").run().write(Path(place))


if __name__ == "__main__":
    main(*sys.argv[1:])

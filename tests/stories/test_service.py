"""A live site stays in service whatever is released to it."""

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import pytest

from tests.stories.hosted import Site
from tests.stories.sites import random_file, small_site
from tests.waiting import wait_until

pytestmark = pytest.mark.root
CLIENTS = 6
PAUSE_S = 0.005  # about a thousand requests a second together: more than most agencies see


@dataclass
class Crowd:
    """Visitors on kept-alive connections who write down what they saw."""

    site: Site
    seen: list[tuple[int, bytes]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self.threads = [threading.Thread(target=self._visit) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    def _visit(self) -> None:
        visitor = self.site.visitor()
        try:
            while not self.over.wait(PAUSE_S):
                reply = visitor.get("/")
                self.seen.append((reply.status, reply.body))
        except Exception as error:  # noqa: BLE001  # any error is a request that was lost
            self.errors.append(error)
        finally:
            visitor.close()


def test_a_rollback_under_load_loses_no_request(clinic: Site, tmp_path: Path) -> None:
    old, new = (small_site(tmp_path / name, f"the {name} opening hours") for name in ("old", "new"))
    assert clinic.deploy(old)["status"] == "live"
    assert clinic.deploy(new)["status"] == "live"
    pages = {folder: (folder / "index.html").read_bytes() for folder in (old, new)}
    with Crowd(clinic) as crowd:
        wait_until(lambda: len(crowd.seen) > 200)
        told = clinic.owner.post(f"/v1/hostings/{clinic.hosting_id}/rollback", {"reason": "wrong"})
        assert clinic.end_of(told["id"])["status"] == "live"
        after = len(crowd.seen)
        wait_until(lambda: len(crowd.seen) > after + 200)
    assert crowd.errors == []
    assert {status for status, _ in crowd.seen} == {200}
    assert {body for _, body in crowd.seen} == set(pages.values())
    assert {body for _, body in crowd.seen[after + CLIENTS :]} == {pages[old]}


def test_a_release_that_fails_its_check_leaves_the_old_one_live(
    clinic: Site, tmp_path: Path
) -> None:
    good = small_site(tmp_path / "good", "good")
    assert clinic.deploy(good)["status"] == "live"
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "home.html").write_text("there is no index.html")
    ended = clinic.deploy(broken)
    assert ended["status"] == "failed"
    assert "GET /: 404" in ended["outcome"]["output"]
    assert clinic.serves("good")
    assert clinic.status == "active"
    fine = small_site(tmp_path / "fine", "fine")
    assert clinic.deploy(fine)["status"] == "live"
    assert clinic.serves("fine")


def test_a_release_that_fills_the_disk_says_so_and_leaves_the_old_one(
    clinic: Site, tmp_path: Path
) -> None:
    """The quota of the disk counts what the file system itself needs, so some room is missing."""
    before = small_site(tmp_path / "before", "before the flood")
    assert clinic.deploy(before)["status"] == "live"
    flood = small_site(tmp_path / "flood", "flood")
    for number in range(2):
        random_file(flood / f"{number}.bin", mib=254)
    ended = clinic.deploy(flood)
    assert ended["status"] == "failed", ended
    assert ended["outcome"]["code"] == "disk_full"
    assert clinic.serves("before the flood")
    for language, word in (("ar", "قرص"), ("en", "disk")):
        speaker = replace(clinic.owner, language=language)
        shown = speaker.get(f"/v1/deployments/{ended['id']}")
        assert word in shown["outcome"]["happened"], shown
    assert clinic.deploy(small_site(tmp_path / "after", "after the flood"))["status"] == "live"

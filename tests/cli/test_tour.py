"""`make up` ends with the main job: told step by step, once, and without taking anything back."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlmodel import select

from control_plane.cli import tour
from control_plane.cli.examples import ensure_examples, open_sessions
from control_plane.cli.tour import Account, Stage
from control_plane.hosting.models import Attachment
from control_plane.hosting.rules import AttachmentStatus
from control_plane.identity.models import Token
from control_plane.identity.queries import find_person_by_email
from control_plane.identity.rules import Role
from control_plane.kit.db import Database
from control_plane.kit.installed import tenants_dir
from control_plane.kit.passwords import is_right
from control_plane.settings import Settings
from control_plane.tenancy.models import RegionImage
from tests.cli.terminal import Terminal, World, a_world

HEALTH = tenants_dir() / "examples" / "health"
HOSTNAME, APPLICATION = "health.edubba.localhost", "clinics.edubba.localhost"

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Story:
    """A stage on a served data centre, and what was told on it at first."""

    world: World
    stage: Stage
    told: str

    def again(self, capsys: pytest.CaptureFixture[str]) -> str:
        capsys.readouterr()
        tour.tell(self.stage)
        return capsys.readouterr().out

    def opens(self, email: str, password: str) -> bool:
        with self.world.db.read() as session:
            person = find_person_by_email(session, email)
        assert person is not None
        return is_right(person.password_hash, password)

    @property
    def passwords(self) -> dict[str, str]:
        lines = re.findall(r"^  \w+ +(\S+@\S+) +(\S+)$", self.told, re.MULTILINE)
        return dict(lines)


def a_stage(world: World, packages: Path) -> Stage:
    """Give a stage in memory: the application answers once it is released and attached."""
    visits: list[int] = []
    folder = world.homes / "health"
    shutil.copytree(HEALTH, folder)
    declared = (folder / "tenant.yml").read_text(encoding="utf-8")
    # A server in memory runs nothing: what is looked at is a file of the release.
    looked_at = declared.replace("check_path: /health", "check_path: /visits/web.py")
    (folder / "tenant.yml").write_text(looked_at, encoding="utf-8")

    def is_attached() -> bool:
        with world.db.read() as session:
            rows = session.exec(select(Attachment)).all()
        return [row.status for row in rows] == [AttachmentStatus.LIVE]

    def count() -> bytes | None:
        is_live = world.centre.edge.observe(APPLICATION, "/visits/web.py").status == 200
        return json.dumps({"total": len(visits)}).encode() if is_live and is_attached() else None

    def look() -> bytes | None:
        seen = world.centre.edge.observe(HOSTNAME)
        return seen.body if seen.status == 200 else None

    def open_accounts() -> list[Account]:
        accounts = open_sessions(world.db, ensure_examples(world.db, is_loopback_zone=True))
        return [Account(a.role, a.email, a.password, a.token or "") for a in accounts]

    return Stage(world.url, folder, packages, open_accounts, look, count, lambda: visits.append(1))


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give what commands fetched before in this module."""
    return tmp_path_factory.mktemp("packages")


@pytest.fixture(scope="module")
def story(
    sqlite_template: Path, packages: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("tour")
    shutil.copy(sqlite_template, folder / "edubba.db")
    db = Database(f"sqlite:///{folder / 'edubba.db'}")
    capture = pytest.MonkeyPatch()
    lines: list[str] = []
    capture.setattr(tour, "_say", lambda text, end="\n": lines.append(text + end))
    with a_world(db, folder) as world:
        stage = a_stage(world, packages)
        tour.tell(stage)
        capture.undo()
        yield Story(world, stage, "".join(lines))
    db.close()


def test_the_example_site_and_its_application_are_live_at_the_end(story: Story) -> None:
    assert story.stage.look() == (HEALTH / "site" / "index.html").read_bytes()
    owner = Terminal(story.world.url, story.world.homes, story.stage.open_accounts()[0].token)
    hostings = owner.ask("hosting", "list", "--agency", "health")["items"]
    assert {(one["name"], one["size"], one["status"]) for one in hostings} == {
        ("website", "medium", "active"),
        ("clinics", "small", "active"),
        ("records", "small", "active"),
    }
    assert story.stage.count() == b'{"total": 1}'


def test_each_step_is_told_while_it_happens_with_its_seconds(story: Story) -> None:
    places = [
        story.told.index(step)
        for step in (
            "The agency asks for what its tenant.yml declares",
            "website: asked for",
            "clinics can be attached to records once both are in service",
            "An operator approves it",
            "The server is built",
            "The agency releases its site",
            "Deployment 1: live",
            "clinics is being attached to records",
            "The agency releases its application",
            "A visit is recorded through the edge, and read back",
            "Accounts, shown this once:",
        )
    ]
    assert places == sorted(places)
    assert re.search(r"^ +\d+\.\d s  The server is built$", story.told, re.MULTILINE)
    assert len(re.findall(r"^ +\d+ s$", story.told, re.MULTILINE)) == 7


def test_the_passwords_that_are_shown_open_the_accounts(story: Story) -> None:
    assert set(story.passwords) == {"owner@health.example", "operator@centre.example"}
    for email, password in story.passwords.items():
        assert story.opens(email, password)


def test_told_again_it_does_nothing_and_says_how_to_get_new_passwords(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    again = story.again(capsys)
    assert "The agency" not in again
    assert "setup examples --new-passwords" in again
    assert all(story.opens(email, password) for email, password in story.passwords.items())


def test_a_site_of_the_agencys_own_is_left_as_it_is(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    owner = Terminal(story.world.url, story.world.homes, story.stage.open_accounts()[0].token)
    own = story.world.homes / "own"
    own.mkdir()
    (own / "index.html").write_text("our own words")
    owner.ask("deploy", str(own), "--hosting", "website", "--agency", "health", "--wait")
    told = story.again(capsys)
    assert "it is left as it is" in told
    assert story.stage.look() == b"our own words"
    assert story.stage.count() == b'{"total": 1}'
    assert "Accounts, shown this once" not in told
    assert "setup examples --new-passwords" in told
    assert all(story.opens(email, password) for email, password in story.passwords.items())
    owner.ask("rollback", "website", "--agency", "health", "--wait")


def test_the_sessions_of_the_tour_end_with_it(story: Story) -> None:
    with story.world.db.read() as session:
        tokens = session.exec(select(Token).where(Token.name == "tour")).all()
    assert len(tokens) >= 2
    assert [token for token in tokens[:2] if token.revoked_at is None] == []


def test_what_was_cut_off_is_taken_up_and_only_its_own_request_approved(
    own_world: World, packages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = a_stage(own_world, packages)
    other = own_world.person(Role.OWNER, own_world.agency())
    wish = ["request", "create", "other", "-b", "static-site", "-s", "medium"]
    waiting = other.ask(*wish)["id"]
    owner = Terminal(own_world.url, own_world.homes, stage.open_accounts()[0].token)
    owner.ask("apply", "-f", str(stage.tenant_file))
    tour.tell(stage)
    told = capsys.readouterr().out
    assert "website: as declared, nothing to ask for" in told
    assert "An operator approves it" in told
    assert stage.look() == (HEALTH / "site" / "index.html").read_bytes()
    assert stage.count() == b'{"total": 1}'
    assert other.ask("request", "show", waiting)["status"] == "submitted"


def test_an_image_that_never_comes_ends_the_tour_with_what_prepares_it(
    own_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tour, "IMAGES_KNOWN_S", 0.0)
    with own_world.db.begin() as session:
        for row in session.exec(select(RegionImage).where(RegionImage.family == "python-app")):
            session.delete(row)
    with pytest.raises(SystemExit, match="make images FAMILIES=python-app"):
        tour.tell(a_stage(own_world, tmp_path))


def test_a_command_that_fails_ends_the_tour_with_what_it_said_and_the_passwords(
    own_world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = a_stage(own_world, tmp_path)
    stage.tenant_file.write_text("agency: health\nhostings: {}\n")
    with pytest.raises(SystemExit, match="hostings must be a list"):
        tour.tell(stage)
    assert "Accounts, shown this once:" in capsys.readouterr().out


def test_the_address_is_that_of_the_declared_hosting() -> None:
    assert tour.address_of(Settings(), HEALTH) == f"https://{HOSTNAME}/"
    assert tour.address_of(Settings(), HEALTH, 1) == f"https://{APPLICATION}/"
    other = Settings(zone="t1.localhost", edge_https_port=8443)
    assert tour.address_of(other, HEALTH) == "https://health.t1.localhost:8443/"


def test_a_real_zone_gets_no_tour(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDUBBA_ZONE", "gov.example")
    tour.main()
    told = capsys.readouterr().out
    assert "gov.example" in told
    assert "setup operator" in told

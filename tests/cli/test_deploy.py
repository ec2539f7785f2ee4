"""A folder goes live: only what is missing is sent, and a bad folder is refused before a byte."""

from pathlib import Path

import pytest

from control_plane.identity.rules import Role
from tests.cli.terminal import Terminal, World


@pytest.fixture
def owner(world: World) -> Terminal:
    """Give an owner whose website is there."""
    terminal = world.person(Role.OWNER, world.agency())
    terminal.ask("request", "create", "website", "-b", "static-site", "-s", "small", "--wait")
    return terminal


def a_site(terminal: Terminal, words: str = "hello") -> Path:
    folder = terminal.home / "site"
    (folder / "خدمات").mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text(f"<h1>{words}</h1>", encoding="utf-8")
    (folder / "خدمات" / "دليل.html").write_text("دليل الخدمات", encoding="utf-8")
    (folder / ".git").mkdir(exist_ok=True)
    return folder


def front_page(world: World, owner: Terminal) -> bytes:
    url = owner.ask("hosting", "show", "website")["url"]
    return world.centre.edge.observe(url.split("/")[2]).body


@pytest.mark.slow
def test_a_folder_goes_live_and_only_changes_are_sent_again(world: World, owner: Terminal) -> None:
    a_site(owner)
    first = owner.run("deploy", "site", "--hosting", "website", "--wait", "--json")
    assert first.code == 0, first
    assert first.json["uploaded"]["blobs"] == 2
    assert "Left out: .git" in first.errors
    assert front_page(world, owner) == b"<h1>hello</h1>"
    a_site(owner, "again")
    second = owner.ask("deploy", "site", "--hosting", "website", "--wait")
    assert second["uploaded"]["blobs"] == 1
    assert front_page(world, owner) == b"<h1>again</h1>"
    back = owner.run("rollback", "website", "--wait", "-r", "a typing error")
    assert back.code == 0, back
    assert front_page(world, owner) == b"<h1>hello</h1>"
    listed = owner.ask("deployment", "list", "website")["items"]
    assert [one["number"] for one in listed] == [3, 2, 1, 0]
    assert listed[0]["rollback_of"] == 1
    assert "a typing error" in owner.tell("deployment", "list", "website")
    shown = owner.tell("deployment", "show", listed[0]["id"], language="ar")
    assert "a typing error" in shown
    assert "Reason" not in shown
    assert owner.ask("rollback", "website", "--to", "2", "--wait")["status"] == "live"
    too_large = owner.run("rollback", "website", "--to", str(1 << 64), "--json")
    assert (too_large.code, too_large.json["error"]["code"]) == (6, "payload_invalid")


def test_people_are_told_where_it_is_seen(owner: Terminal) -> None:
    a_site(owner)
    told = owner.tell("deploy", "site", "--hosting", "website", "--wait")
    assert "Deployment 1 is live" in told
    assert "https://website-agency-" in told
    arabic = owner.tell("deploy", "site", "--hosting", "website", "--wait", language="ar")
    assert "https://website-agency-" in arabic
    assert "Deployment" not in arabic


def test_a_release_without_a_front_page_fails_and_says_what_the_check_saw(
    owner: Terminal,
) -> None:
    (owner.home / "broken").mkdir()
    (owner.home / "broken" / "home.html").write_text("there is no index.html")
    done = owner.run("deploy", "broken", "--hosting", "website", "--wait", "--json")
    assert done.code == 1
    assert done.json["error"]["code"] == "release_check_failed"
    people = owner.run("deploy", "broken", "--hosting", "website", "--wait")
    assert "what was live before still is" in people.errors


def test_a_folder_with_bad_names_is_refused_with_each_of_them(owner: Terminal) -> None:
    folder = a_site(owner)
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "con\ttrol.html").write_text("x")
    done = owner.run("deploy", "site", "--hosting", "website", "--json")
    assert done.code == 6
    found = {offence["path"] for offence in done.json["error"]["facts"]["offences"]}
    assert found == {"link", r"con\ttrol.html"}
    assert "link: " in owner.run("deploy", "site", "--hosting", "website", language="ar").errors
    assert owner.ask("deployment", "list", "website")["items"][0]["number"] == 0


def test_there_must_be_a_folder_and_a_hosting(owner: Terminal) -> None:
    assert owner.run("deploy", "nowhere", "--hosting", "website").code == 2
    a_site(owner)
    assert owner.run("deploy", "site", "--hosting", "nothing").code == 5
    assert owner.run("deploy", "site").code == 2


def test_there_is_nothing_to_go_back_to_at_first(owner: Terminal) -> None:
    done = owner.run("rollback", "website", "--json")
    assert (done.code, done.json["error"]["code"]) == (6, "nothing_to_roll_back_to")

"""What root does on the machine: the first operator, a lost password, the example accounts."""

import json
from pathlib import Path

import pytest

from control_plane.cli import installation
from control_plane.cli.installation import environment_of, find_settings, instance_of
from control_plane.identity.queries import (
    find_keystone_project,
    find_person_by_email,
    list_grants,
)
from control_plane.kit.db import Database
from control_plane.kit.passwords import is_right
from tests.cli.terminal import Terminal
from tests.stories.cli import Done

EMAIL, PASSWORD = "samir@centre.example", "correct horse battery"
NEW = ["setup", "operator", EMAIL, "--name", "سامر", "--password-stdin"]


@pytest.fixture
def root(sqlite_db: Database, tmp_path: Path) -> Terminal:
    """Give a terminal on a machine whose database is at hand, on a zone of the real world."""
    told = {
        "EDUBBA_DATABASE_URL": str(sqlite_db.url),
        "EDUBBA_ZONE": "gov.example",
    }
    return Terminal("http://127.0.0.1:9", tmp_path, variables=told)


def grants_of(db: Database, email: str) -> list[tuple[str, str | None]]:
    with db.read() as session:
        person = find_person_by_email(session, email)
        assert person is not None
        return [(grant.role, grant.agency_id) for grant in list_grants(session, person.id)]


def opens(db: Database, email: str, password: str) -> bool:
    with db.read() as session:
        person = find_person_by_email(session, email)
    assert person is not None
    return is_right(person.password_hash, password)


def test_the_first_operator_is_made_on_a_real_zone(sqlite_db: Database, root: Terminal) -> None:
    done = root.run(*NEW, "--json", stdin=f"{PASSWORD}\n")
    assert done.code == 0, done
    assert done.json["email"] == EMAIL
    assert PASSWORD not in done.output + done.errors
    assert grants_of(sqlite_db, EMAIL) == [("operator", None)]
    assert opens(sqlite_db, EMAIL, PASSWORD)


def test_a_second_operator_is_made_only_if_that_is_said(
    sqlite_db: Database, root: Terminal
) -> None:
    assert root.run(*NEW, stdin=PASSWORD).code == 0
    other = ["setup", "operator", "noor@centre.example", "--name", "Noor", "--password-stdin"]
    refused = root.run(*other, "--json", stdin=PASSWORD)
    assert (refused.code, refused.json["error"]["code"]) == (6, "operator_exists")
    told = root.run(*other, "--another", stdin=PASSWORD)
    assert (told.code, told.errors) == (0, "")
    assert "edubba login --email noor@centre.example" in told.output
    assert root.run(*NEW, "--another", stdin=PASSWORD).code == 6


@pytest.mark.parametrize(
    ("command", "password", "code"),
    [
        (NEW, "too short", "password_unfit"),
        (NEW, "x" * 201, "password_unfit"),
        (
            ["setup", "operator", "nobody", "--name", "x", "--password-stdin"],
            PASSWORD,
            "email_invalid",
        ),
        ([*NEW, "--language", "fr"], PASSWORD, "language_unknown"),
        (NEW[:-1], "", "password_missing"),
    ],
)
def test_what_cannot_be_an_account_is_a_wrong_use(
    root: Terminal, command: list[str], password: str, code: str
) -> None:
    done = root.run(*command, "--json", stdin=password)
    assert (done.code, done.json["error"]["code"]) == (2, code)


def test_a_password_is_no_argument(root: Terminal) -> None:
    done = root.run("setup", "operator", EMAIL, "--name", "x", "--password", PASSWORD)
    assert done.code == 2


def test_a_lost_password_is_replaced(sqlite_db: Database, root: Terminal) -> None:
    root.run(*NEW, stdin=PASSWORD)
    change = ["setup", "password", EMAIL, "--password-stdin"]
    assert "has a new password" in root.run(*change, stdin="another good password").output
    assert not opens(sqlite_db, EMAIL, PASSWORD)
    assert opens(sqlite_db, EMAIL, "another good password")
    nobody = root.run("setup", "password", "x@y.example", "--password-stdin", stdin=PASSWORD)
    assert nobody.code == 5


def test_a_real_zone_gets_no_example_accounts(sqlite_db: Database, root: Terminal) -> None:
    done = root.run("setup", "examples", "--json")
    assert (done.code, done.json["error"]["code"]) == (6, "example_refused")
    with sqlite_db.read() as session:
        assert find_person_by_email(session, "operator@centre.example") is None


def test_example_accounts_keep_their_passwords_until_new_ones_are_wished(
    sqlite_db: Database, root: Terminal
) -> None:
    root.variables["EDUBBA_ZONE"] = "edubba.localhost"
    made = {one["email"]: one["password"] for one in examples(root).json["items"]}
    assert {one["password"] for one in examples(root).json["items"]} == {None}
    assert all(opens(sqlite_db, email, password) for email, password in made.items())
    new = {one["email"]: one["password"] for one in examples(root, "--new-passwords").json["items"]}
    assert all(opens(sqlite_db, email, password) for email, password in new.items())
    assert not any(opens(sqlite_db, email, password) for email, password in made.items())
    told = root.run("setup", "examples")
    assert "--new-passwords makes another" in told.output


def examples(root: Terminal, *more: str) -> Done:
    done = root.run("setup", "examples", *more, "--json")
    assert done.code == 0, done
    return done


def test_the_installation_is_that_which_the_program_is_a_part_of() -> None:
    assert instance_of({}, "/opt/gov1/venv") == "gov1"
    assert instance_of({"EDUBBA_INSTANCE": "other"}, "/opt/gov1/venv") == "other"
    assert instance_of({}, "/home/somebody/.venv") == "edubba"


def test_the_installers_settings_are_read_as_the_shell_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "gov1"
    config.mkdir()
    (config / "worker.env").write_text(
        "#\n# Ansible managed\n#\nEDUBBA_ZONE=gov.example\nEDUBBA_STATE_DIR='/srv/my data'\n"
        "EDUBBA_INSTANCE=gov1\n"
    )
    assert environment_of(config)["EDUBBA_STATE_DIR"] == "/srv/my data"
    monkeypatch.setattr(installation, "CONFIG_ROOT", tmp_path)
    monkeypatch.setenv("EDUBBA_INSTANCE", "gov1")
    monkeypatch.delenv("EDUBBA_DATABASE_URL", raising=False)
    settings = find_settings()
    assert settings.zone == "gov.example"
    assert settings.database_url.get_secret_value() == "sqlite:////srv/my data/database/edubba.db"
    monkeypatch.setenv("EDUBBA_ZONE", "said.example")
    assert find_settings().zone == "said.example"


def test_json_of_setup_is_one_document(root: Terminal) -> None:
    assert json.loads(root.run(*NEW, "--json", stdin=PASSWORD).output)["role"] == "operator"


def test_a_project_of_keystone_acts_for_the_data_centre_as_root_said(
    sqlite_db: Database, root: Terminal
) -> None:
    command = ["setup", "keystone", "6f0c5b1e"]
    assert root.run(*command, "--role", "admin=operator").code == 2, "of which domain?"
    unfit = root.run(*command, "--domain", "default", "--role", "admin=owner", "--json")
    assert (unfit.code, unfit.json["error"]["code"]) == (6, "role_unfit")
    told = root.tell(*command, "--domain", "default", "--role", "admin=operator")
    assert "6f0c5b1e acts for the data centre now: admin=operator." in told
    with sqlite_db.read() as session:
        row = find_keystone_project(session, "6f0c5b1e")
    assert row is not None
    assert (row.agency_id, row.roles) == (None, {"admin": "operator"})
    assert "any more" in root.tell(*command)
    assert root.run(*command).code == 5

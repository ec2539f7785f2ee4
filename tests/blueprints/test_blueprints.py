"""Kinds of hosting are data: strict to read, immutable once registered, dated in price."""

import json
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from sqlmodel import select

from control_plane.blueprints import actions, cli, queries
from control_plane.blueprints.models import BlueprintVersion, Price
from control_plane.blueprints.rules import (
    Blueprint,
    BlueprintUnknown,
    InputInvalid,
    PriceFixed,
    PriceUnknown,
    check_inputs,
    check_path,
    parse_blueprint,
    render_placeholder,
)
from control_plane.kit.db import Database
from control_plane.kit.documents import DocumentInvalid
from control_plane.kit.installed import tenants_dir
from control_plane.kit.money import Money
from control_plane.ledger.models import LedgerEntry
from control_plane.ledger.rules import SYSTEM

OFFERED = ["php-site", "postgres-database", "python-app", "static-site"]
FOLDERS = sorted((tenants_dir() / "blueprints").iterdir())
STATIC_SITE = tenants_dir() / "blueprints" / "static-site"
TEXT = (STATIC_SITE / "blueprint.yml").read_text(encoding="utf-8")
BAD_PATTERN = "not a regular expression: unterminated character set at position 0"
PAGE = {"index.html": "<p>${title}</p>"}


def folder_of(name: str) -> Path:
    return tenants_dir() / "blueprints" / name


def static_site() -> Blueprint:
    return actions.read_folder(STATIC_SITE)


def changed(change: str, to: str) -> Blueprint:
    assert TEXT.count(change) == 1, change
    return parse_blueprint(TEXT.replace(change, to), PAGE, "blueprint.yml")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_blueprint_that_ships_can_be_read(folder: Path) -> None:
    blueprint = actions.read_folder(folder)
    assert blueprint.name == folder.name
    Draft202012Validator.check_schema(blueprint.inputs.as_json_schema())
    runbooks = tenants_dir().parent / "monitoring" / "runbooks"
    for alert in blueprint.alerts:
        assert (runbooks / f"{alert}.md").is_file(), alert


def test_the_schemas_in_the_tree_are_those_of_the_models() -> None:
    kept = (tenants_dir() / "blueprint.schema.json").read_text(encoding="utf-8")
    assert kept == cli.schema_text(), "python -m control_plane.blueprints.cli schema"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_editor_with_the_schema_agrees_with_the_reader(folder: Path) -> None:
    schema = json.loads(cli.schema_text())
    text = (folder / "blueprint.yml").read_text(encoding="utf-8")
    document = json.loads(json.dumps(yaml.safe_load(text), default=datetime.isoformat))
    Draft202012Validator(schema).validate(document)


@pytest.mark.parametrize(
    ("change", "to", "reason"),
    [
        ("format: 1", "format: 2", "format must be one of: 1"),
        ("image: static-site", "image: [a]", "image must be text; put it in quotation marks"),
        ("required: []", "required: [colour]", "colour is not one of the inputs"),
        (
            "path_input: check_path",
            "path_input: no_such",
            "no_such is not one of the inputs",
        ),
        (
            "pattern: ^/[!-~]*$",
            'pattern: "["',
            "inputs.properties.check_path.pattern: " + BAD_PATTERN,
        ),
        (
            "micros_per_hour: 36000000",
            "micros_per_hour: -1",
            "sizes.large.prices.0.micros_per_hour must be at least 0",
        ),
        (
            "micros_per_hour: 36000000",
            "micros_per_hour: 1.5",
            "sizes.large.prices.0.micros_per_hour must be a whole number",
        ),
        ("pids: 128", "pids: 1", "sizes.large.pids must be at least 16"),
        ("pids: 96", "colour: red", "sizes.medium.pids is missing"),
        ("ar: صغير", "ku: بچووک", "sizes.small.label.ar is missing"),
    ],
)
def test_a_wrong_blueprint_names_line_and_reason(change: str, to: str, reason: str) -> None:
    with pytest.raises(DocumentInvalid) as found:
        changed(change, to)
    wrong = TEXT.replace(change, to)
    said = {str(mistake.reason): mistake.line for mistake in found.value.mistakes}
    assert reason in said
    if "missing" not in reason:
        assert to.split(":", maxsplit=1)[0] in wrong.splitlines()[said[reason] - 1]


def test_two_prices_from_one_moment_are_refused_at_the_second() -> None:
    line = "        effective_from: 2025-01-01T00:00:00+03:00\n"
    again = (
        "      - {currency: IQD, micros_per_hour: 1, effective_from: 2024-12-31T21:00:00+00:00}\n"
    )
    text = TEXT.replace(line, line + again, 1)
    with pytest.raises(DocumentInvalid, match="two prices") as found:
        parse_blueprint(text, PAGE, "blueprint.yml")
    number = found.value.mistakes[0].line
    assert text.splitlines()[number - 1].strip().startswith("- {currency")


@pytest.mark.parametrize(
    ("placeholder", "reason"),
    [
        ({}, "lacks index.html"),
        ({"index.html": "${colour}"}, "unknown fact colour"),
        ({"index.html": "5 $ each"}, "unknown fact \\$"),
        ({"index.html": "x" * 70_000}, "larger than 64 KiB"),
    ],
)
def test_a_wrong_placeholder_is_refused(placeholder: dict[str, str], reason: str) -> None:
    with pytest.raises(DocumentInvalid, match=reason):
        parse_blueprint(TEXT, placeholder, "blueprint.yml")


def test_a_folder_names_its_blueprint(tmp_path: Path) -> None:
    folder = tmp_path / "other-name"
    (folder / "placeholder").mkdir(parents=True)
    (folder / "placeholder" / "index.html").write_text("<p>", encoding="utf-8")
    with pytest.raises(DocumentInvalid, match="can't be read"):
        actions.read_folder(folder)
    (folder / "blueprint.yml").write_text(TEXT, encoding="utf-8")
    with pytest.raises(DocumentInvalid, match="must be that of the folder"):
        actions.read_folder(folder)
    (folder / "blueprint.yml").write_bytes(b"\xff\xfe")
    with pytest.raises(DocumentInvalid, match="not UTF-8"):
        actions.read_folder(folder)


def test_the_placeholder_says_whose_it_is_in_two_languages_and_escapes_it() -> None:
    facts = {
        "title": "<b>وزارة</b>",
        "hostname": "health.edubba.localhost",
        "contact_email": "web@health.example",
    }
    page = render_placeholder(static_site(), facts)["index.html"].decode()
    assert "&lt;b&gt;وزارة&lt;/b&gt;" in page
    assert page.count("mailto:web@health.example") == 2
    assert 'lang="ar" dir="rtl"' in page
    assert 'lang="en" dir="ltr"' in page
    assert "$" not in page
    HTMLParser().feed(page)


def test_a_line_of_the_placeholder_without_its_fact_is_left_out() -> None:
    page = render_placeholder(static_site(), {"title": "x", "hostname": "y"})["index.html"]
    assert b"mailto" not in page


def test_the_page_to_check_can_be_an_input() -> None:
    blueprint = static_site()
    assert check_path(blueprint, {}) == "/"
    assert check_path(blueprint, {"check_path": "/index.html"}) == "/index.html"


@pytest.mark.parametrize(
    ("inputs", "name", "reason"),
    [
        ({"contact_email": "x"}, "contact_email", "it is not a valid email"),
        ({"contact_email": 1}, "contact_email", "it must be of the type string"),
        ({"check_path": "x"}, "check_path", "it has characters or a form that are not allowed"),
        ({"check_path": f"/{'x' * 200}"}, "check_path", "it is longer than 200 characters"),
        ({"colour": 1}, "colour", "this blueprint has no such input"),
    ],
)
def test_inputs_are_refused_with_name_and_reason(
    inputs: dict[str, Any], name: str, reason: str
) -> None:
    with pytest.raises(InputInvalid) as refused:
        check_inputs(static_site(), inputs)
    assert (refused.value.facts["input"], refused.value.facts["reason"]) == (name, reason)


def test_required_inputs_and_defaults() -> None:
    blueprint = changed("required: []", "required: [contact_email]")
    with pytest.raises(InputInvalid) as refused:
        check_inputs(blueprint, {})
    assert refused.value.facts["reason"] == "it is missing"
    with_default = changed("      pattern: ^/[!-~]*$", "      default: /start")
    assert check_inputs(with_default, {}) == {"check_path": "/start"}
    assert check_inputs(with_default, {"check_path": "/x"}) == {"check_path": "/x"}


def test_the_digest_is_of_the_content_and_not_of_the_prices() -> None:
    one = parse_blueprint(TEXT, PAGE, "blueprint.yml")
    dearer = changed("micros_per_hour: 36000000", "micros_per_hour: 1")
    assert dearer.digest == one.digest
    assert changed("pids: 128", "pids: 129").digest != one.digest
    other_page = {"index.html": "<p>${title}.</p>"}
    assert parse_blueprint(TEXT, other_page, "blueprint.yml").digest != one.digest
    assert Blueprint.model_validate(one.spec).digest == one.digest


def test_registering_again_changes_nothing(db: Database) -> None:
    with db.begin() as session:
        first = actions.register(session, SYSTEM, static_site())
    with db.begin() as session:
        again = actions.register(session, SYSTEM, static_site())
        assert again.id == first.id
        actions_told = list(session.exec(select(LedgerEntry.action)))
        assert actions_told.count("blueprint.registered") == 1
        assert actions_told.count("price.set") == 3


def test_what_ships_is_registered_at_every_start(db: Database) -> None:
    for _ in range(2):
        with db.begin() as session:
            actions.register_installed(session)
    with db.read() as session:
        listed = [version.name for version in queries.list_current(session)]
        assert listed == OFFERED
        told = list(session.exec(select(LedgerEntry.action)))
        assert told.count("blueprint.registered") == len(OFFERED)


PHP_SITE = parse_blueprint(
    (tenants_dir() / "blueprints" / "php-site" / "blueprint.yml").read_text("utf-8"), PAGE, "php"
)


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"extensions": "xml"}, "it must be of the type array"),
        ({"extensions": ["mainframe"]}, "it is not one of bcmath"),
        ({"extensions": ["xml", "xml"]}, "it has an entry twice"),
        ({"persistent_paths": ["../etc"]}, "it has characters or a form that are not allowed"),
        ({"persistent_paths": ["/data"]}, "it has characters or a form that are not allowed"),
        ({"schedule": ["* * * * *"]}, "it has characters or a form that are not allowed"),
        ({"schedule": ["* * * * * true"] * 9}, "it has more than 8 entries"),
    ],
)
def test_a_list_that_does_not_fit_says_why(inputs: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputInvalid) as found:
        check_inputs(PHP_SITE, inputs)
    assert str(found.value.facts["reason"]).startswith(reason)


def test_a_list_is_taken_as_it_is() -> None:
    said = {"persistent_paths": ["data", "conf"], "schedule": ["*/5 2-4 * * 1 php x.php"]}
    assert check_inputs(PHP_SITE, said) == {
        "extensions": ["mbstring", "xml"],
        "front_controller": False,
        "upload_mib": 16,
        **said,
    }


@pytest.mark.parametrize("field", ["type: array", "type: string\n      maxItems: 3"])
def test_a_list_without_bounds_is_refused_when_its_blueprint_is_read(field: str) -> None:
    text = TEXT.replace("      type: string\n      pattern", f"      {field}\n      pattern", 1)
    with pytest.raises(DocumentInvalid, match="items and maxItems"):
        parse_blueprint(text, PAGE, "blueprint.yml")


def test_a_change_makes_a_new_version_and_keeps_the_old_one(db: Database) -> None:
    with db.begin() as session:
        old = actions.register(session, SYSTEM, changed("pids: 128", "pids: 200"))
        new = actions.register(session, SYSTEM, changed("pids: 128", "pids: 201"))
        assert queries.get_current(session, "static-site").id == new.id
        assert queries.get_blueprint(session, old.id).size("large").pids == 200
        back = actions.register(session, SYSTEM, changed("pids: 128", "pids: 200"))
        assert back.id == old.id
        assert len(session.exec(select(BlueprintVersion)).all()) == 2
        assert [version.id for version in queries.list_current(session)] == [old.id]


def test_a_price_counts_from_its_moment_and_never_changes(db: Database) -> None:
    turn = datetime(2027, 1, 1, tzinfo=UTC)
    later = (
        "        micros_per_hour: 36000000\n"
        "        effective_from: 2025-01-01T00:00:00+03:00\n"
        "      - currency: IQD\n"
        "        micros_per_hour: 40000000\n"
        "        effective_from: 2027-01-01T03:00:00+03:00\n"
    )
    before = later[: later.index("      - currency")]
    with db.begin() as session:
        actions.register(session, SYSTEM, changed(before, later))
        for moment, micros in (
            (turn - timedelta(microseconds=1), 36_000_000),
            (turn, 40_000_000),
            (turn + timedelta(days=999), 40_000_000),
        ):
            price = queries.price_at(session, "static-site", "large", "IQD", moment)
            assert price == Money("IQD", micros)
        for size, currency, moment in (
            ("large", "USD", turn),
            ("huge", "IQD", turn),
            ("large", "IQD", datetime(2024, 1, 1, tzinfo=UTC)),
        ):
            with pytest.raises(PriceUnknown):
                queries.price_at(session, "static-site", size, currency, moment)
        with pytest.raises(PriceFixed):
            actions.register(
                session, SYSTEM, changed("micros_per_hour: 36000000", "micros_per_hour: 1")
            )
        assert len(session.exec(select(Price)).all()) == 4


def test_an_unknown_blueprint_is_said_to_be_so(sqlite_db: Database) -> None:
    with sqlite_db.read() as session, pytest.raises(BlueprintUnknown):
        queries.get_current(session, "static-site")

"""Every `edubba …` that a page or a message names is a command that there is."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from babel.messages.pofile import read_po

from control_plane.cli.main import COMMANDS, command_tree, hoist

CHECKOUT = Path(__file__).parents[2]
PAGES = [
    CHECKOUT / "README.md",
    CHECKOUT / "CHANGELOG.md",
    *sorted((CHECKOUT / "docs").rglob("*.md")),
    *sorted((CHECKOUT / "monitoring").rglob("*.md")),
    *sorted((CHECKOUT / "tenants").rglob("*.yml")),
    *sorted((CHECKOUT / "monitoring").rglob("*.yml")),
]
CATALOGUE = CHECKOUT / "control_plane/web/locale/ar/LC_MESSAGES/edubba.po"
_IN_TICKS = re.compile(r"`(?:sudo )?(edubba [^`]+)`")
_IN_BLOCKS = re.compile(r"^(?:sudo )?(edubba .+?)(?:\s+#.*)?$")
_FILLED = re.compile(r"\{[a-z_]+\}|…")


def quoted_in(text: str) -> Iterator[str]:
    """Yield the commands in a Markdown text: in ticks, and the lines of console blocks."""
    yield from _IN_TICKS.findall(text)
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            yield from _IN_BLOCKS.findall(line.strip())


def in_pages() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for command in quoted_in(page.read_text(encoding="utf-8")):
            yield str(page.relative_to(CHECKOUT)), command


def in_messages() -> Iterator[tuple[str, str]]:
    with CATALOGUE.open("rb") as stream:
        for message in read_po(stream, locale="ar"):
            for text in (str(message.id), str(message.string)):
                for command in quoted_in(text):
                    yield "a message", command


QUOTED = sorted({*in_pages(), *in_messages()})


def refuse_unknown(command: str) -> None:
    """Parse a command as the program would, without running it. Raises: what typer does.

    A name of a command alone may stand for it, whatever it needs besides.
    """
    _, words = hoist(_FILLED.sub("X", command).replace("COMMAND", "deploy").split()[1:])
    words = [word for word in words if word != "--help"]
    if not words:
        return
    found: Any = typer.main.get_command(command_tree(words[0]))
    while hasattr(found, "commands"):
        word = words.pop(0)
        assert word in found.commands, f"{command}: there is no {word}"
        found = found.commands[word]
        if not words:
            return
    found.make_context("edubba", words)


@pytest.mark.parametrize(("page", "command"), QUOTED, ids=lambda value: value)
def test_every_command_that_is_named_exists(
    page: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "DIR").mkdir()  # a folder must be there
    (tmp_path / "site").mkdir()
    monkeypatch.chdir(tmp_path)
    refuse_unknown(command)


def test_pages_and_messages_name_commands() -> None:
    named = {page for page, _ in QUOTED}
    assert {"README.md", "monitoring/runbooks/LifeOverdue.md", "a message"} <= named


@pytest.mark.parametrize(
    "command",
    [
        "edubba nothing",
        "edubba request nothing",
        "edubba request list --nothing",
        "edubba hosting show a b",
    ],
)
def test_a_command_that_does_not_exist_would_be_noticed(command: str) -> None:
    with pytest.raises((AssertionError, typer.TyperException)):
        refuse_unknown(command)


def test_the_first_page_names_the_commands_that_people_begin_with() -> None:
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    named = {command.split()[1] for command in quoted_in(readme)} - {"--help"}
    assert {"apply", "deploy", "doctor", "ledger", "login", "operations", "setup"} <= named
    assert named <= set(COMMANDS)

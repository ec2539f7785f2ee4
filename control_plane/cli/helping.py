"""Help in the reader's language: the texts of all commands, put into words before they are shown.

Typer itself speaks English; its headings are replaced here too.
"""

from typing import Any

import typer
from typer import rich_utils

from control_plane.cli.terminal import tr

# What typer calls the parts of a page of help, by the names that it gives them.
HEADINGS = {
    "ARGUMENTS_PANEL_TITLE": "Arguments",
    "OPTIONS_PANEL_TITLE": "Options",
    "COMMANDS_PANEL_TITLE": "Commands",
    "DEFAULT_STRING": "[default: {value}]",
    "REQUIRED_LONG_STRING": "[required]",
}


def put_into_words(command: Any) -> None:
    """Translate typer's command and all below it."""
    for name, english in HEADINGS.items():
        setattr(rich_utils, name, tr(english, value="{}"))
    for one in list_commands(command):
        one.help = one.help and tr(one.help)
        for parameter in one.get_params(typer.Context(one)):
            if text := getattr(parameter, "help", None):
                parameter.help = tr(text)


def list_commands(command: Any) -> list[Any]:
    """Return typer's command and all below it."""
    below = getattr(command, "commands", {}).values()
    return [command, *(found for one in below for found in list_commands(one))]

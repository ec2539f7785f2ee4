"""`edubba doctor`: what is wrong with this machine, and how to mend it."""

import json
import os
from collections.abc import Mapping
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from control_plane.cli.diagnosis import Finding, Group, State, diagnose
from control_plane.cli.machine import look_at_machine
from control_plane.kit.text import DEFAULT_LOCALE, LOCALES
from control_plane.settings import Settings

MARKS = {
    State.OK: ("✓", "green"),
    State.WARNING: ("!", "yellow"),
    State.FAILED: ("✗", "red"),
    State.UNKNOWN: ("?", "dim"),
}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one JSON object.")] = False,
    machine_only: Annotated[
        bool, typer.Option("--machine", help="Only what is needed before an installation.")
    ] = False,
    language: Annotated[str, typer.Option("--language", help="ar or en")] = "",
) -> None:
    """Say what is wrong with this machine and how to mend it; exit code 1 if anything failed."""
    groups = (Group.MACHINE,) if machine_only else tuple(Group)
    findings = diagnose(look_at_machine(Settings()), groups)
    if as_json:
        typer.echo(json.dumps(describe(findings), ensure_ascii=False, indent=2))
    else:
        show(findings, language or choose_language(os.environ), Console())
    if any(finding.state is State.FAILED for finding in findings.values()):
        raise typer.Exit(code=1)


def choose_language(environment: Mapping[str, str]) -> str:
    """Return the language of a person's terminal, by the order of locale(7)."""
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environment.get(variable):
            language = value.split("_")[0].split(".")[0]
            return language if language in LOCALES else "en"  # a C locale can't show Arabic
    return DEFAULT_LOCALE


def describe(findings: Mapping[str, Finding]) -> dict[str, object]:
    """Return the findings as a document for programs, with all words in each language."""
    rows = []
    for check, finding in findings.items():
        words = {locale: finding.in_words(locale) for locale in LOCALES}
        rows.append(
            {
                "check": check,
                "state": finding.state.value,
                "what": {locale: what for locale, (what, _) in words.items()},
                "mend": {locale: mend for locale, (_, mend) in words.items()},
            }
        )
    return {"ok": all(f.state is not State.FAILED for f in findings.values()), "findings": rows}


def show(findings: Mapping[str, Finding], language: str, console: Console) -> None:
    """Print one line a check, and under what is wrong how to mend it."""
    for finding in findings.values():
        mark, colour = MARKS[finding.state]
        what, mend = finding.in_words(language)
        console.print(Text.assemble((mark, colour), " ", what), soft_wrap=True)
        if mend and finding.state is not State.OK:
            console.print(Text(f"  {mend}", style="dim"), soft_wrap=True)

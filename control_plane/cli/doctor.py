"""`edubba doctor`: what is wrong with this machine, and how to mend it."""

from collections.abc import Mapping
from typing import Annotated

import typer
from rich.text import Text

from control_plane.cli.diagnosis import Finding, Group, State, diagnose
from control_plane.cli.installation import find_settings
from control_plane.cli.machine import look_at_machine
from control_plane.cli.terminal import answer, options, out
from control_plane.kit.text import LOCALES

MARKS = {
    State.OK: ("✓", "green"),
    State.WARNING: ("!", "yellow"),
    State.FAILED: ("✗", "red"),
    State.UNKNOWN: ("?", "dim"),
}


def doctor(
    machine_only: Annotated[
        bool, typer.Option("--machine", help="Only what is needed before an installation.")
    ] = False,
) -> None:
    """Say what is wrong with this machine and how to mend it; exit code 1 if anything failed."""
    groups = (Group.MACHINE,) if machine_only else tuple(Group)
    findings = diagnose(look_at_machine(find_settings()), groups)
    answer(describe(findings), lambda: show(findings, options().locale))
    if any(finding.state is State.FAILED for finding in findings.values()):
        raise typer.Exit(code=1)


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


def show(findings: Mapping[str, Finding], locale: str) -> None:
    """Print one line a check, and under what is wrong how to mend it."""
    console = out()
    for finding in findings.values():
        mark, colour = MARKS[finding.state]
        what, mend = finding.in_words(locale)
        console.print(Text.assemble((mark, colour), " ", what), soft_wrap=True)
        if mend and finding.state is not State.OK:
            console.print(Text(f"  {mend}", style="dim"), soft_wrap=True)

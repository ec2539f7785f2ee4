"""`edubba operations`: what stopped or is late, and what an operator does about it."""

import sys
from typing import Annotated, Any

import typer

from control_plane.cli.choices import LimitOption
from control_plane.cli.client import Client, connect
from control_plane.cli.exits import Code, Stop
from control_plane.cli.telling import words_of
from control_plane.cli.terminal import answer, cell_of, facts, rows, say, tr

group = typer.Typer(no_args_is_help=True)
LIVES = "/v1/operations/lives"
EVERY_KIND = "*"
LifeArgument = Annotated[str, typer.Argument(metavar="LIFE", help="Its id, lif_….")]
KindArgument = Annotated[
    str, typer.Argument(metavar="KIND", help="Such as hosting; all is every kind.")
]
WhyOption = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept for ever.")]


@group.command("list")
def list_lives(
    everything: Annotated[
        bool, typer.Option("--all", help="Those that move or are over, too.")
    ] = False,
    kind: Annotated[str, typer.Option("--kind", help="Only of this kind, such as hosting.")] = "",
    limit: LimitOption = 100,
) -> None:
    """List lives that stopped or are late, with what happened and what to do about it."""
    client = connect()
    only = {"kind": kind} if kind else {}
    pauses = client.get("/v1/operations/pauses")["items"]
    if everything:
        items = client.list_all(LIVES, limit, **only)
    else:
        stopped = client.list_all(LIVES, limit, state="stopped", **only)
        late = client.list_all(LIVES, limit - len(stopped), overdue=True, **only)
        items = [*stopped, *late]
    answer({"items": items, "pauses": pauses}, lambda: _show_list(items, pauses, everything))


@group.command()
def retry(life_id: LifeArgument, reason: WhyOption) -> None:
    """Let a stopped life try its step again, at once."""
    life = connect().post(f"{LIVES}/{life_id}/retry", {"reason": reason})
    answer(life, lambda: say(tr("{id} tries its step {step} again.", **life)))


@group.command()
def abandon(
    life_id: LifeArgument,
    reason: WhyOption,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask back.")] = False,
) -> None:
    """Give up a stopped life whose hosting never was in service; its reservations are freed.

    It can't be undone. Asks back unless --yes is given, as a pipeline must.
    """
    client = connect()
    if not yes:
        _ask_back(client, life_id)
    life = client.post(f"{LIVES}/{life_id}/abandon", {"reason": reason})
    answer(life, lambda: say(tr("{id} is given up; what it made is being removed.", **life)))


@group.command()
def pause(kind: KindArgument, reason: WhyOption) -> None:
    """Let lives of a kind rest; steps under way finish, sites stay in service."""
    done = connect().post("/v1/operations/pause", {"kind": _kind_of(kind), "reason": reason})
    answer(done, lambda: _show_pauses(done["items"]))


@group.command()
def resume(kind: KindArgument) -> None:
    """Let lives of a kind go on."""
    done = connect().post("/v1/operations/resume", {"kind": _kind_of(kind)})
    answer(done, lambda: _show_pauses(done["items"]))


@group.command()
def orphans() -> None:
    """List what lies in a region with our tag, though nothing claims it; nothing is removed."""
    found = connect().get("/v1/operations/orphans")

    def show() -> None:
        if not found["items"]:
            say(tr("Nothing lies in a region that nothing claims."))
            return
        cells = ([one["region"], _facts_of(one["facts"])] for one in found["items"])
        rows(("Region", "What"), cells)

    answer(found, show)


def _ask_back(client: Client, life_id: str) -> None:
    if not sys.stdin.isatty():
        raise Stop(
            Code.USAGE,
            "confirmation_missing",
            tr("There is no terminal to ask back"),
            tr("Give --yes if you are sure."),
        )
    _show_life(client.get(f"{LIVES}/{life_id}"))
    typer.confirm(tr("Give it up for ever?"), abort=True, err=True)


def _show_list(items: list[dict[str, Any]], pauses: list[dict[str, Any]], everything: bool) -> None:
    if pauses:
        _show_pauses(pauses)
    if not items:
        say(tr("There is none.") if everything else tr("Nothing has stopped, and nothing is late."))
        return
    if everything:
        columns = ("id", "kind", "subject_id", "step", "state", "attempts", "why", "due_at")
        titles = ("Life", "Kind", "About", "Step", "State", "Attempts", "Waits for", "Due")
        rows(titles, ([item[column] for column in columns] for item in items))
        return
    for item in items:
        _show_life(item)
        say("")


def _show_life(life: dict[str, Any]) -> None:
    failure = life["failure"]
    facts(
        [
            ("Life", f"{life['id']} ({life['kind']}, {life['subject_id']})"),
            ("Step", life["step"]),
            ("Attempts", life["attempts"]),
            ("Since", life["entered_at"]),
            ("State", tr("stopped") if failure else tr("late")),
            ("What happened", failure["happened"] if failure else _lateness(life)),
            ("What is tried", failure["following"] if failure else _next_try(life)),
            ("What to do", failure["mend"] if failure else _what_to_do(life)),
            ("Facts", _facts_of(failure["facts"]) if failure else None),
        ]
    )
    if failure:
        say(tr("Then: edubba operations retry {id} --reason …", id=life["id"]))


def _lateness(life: dict[str, Any]) -> str:
    return tr(
        "It should have been done with this step by {deadline}: {why}",
        deadline=cell_of(life["deadline_at"]),
        why=words_of(life["why"]) if life["why"] else tr("no worker took it up"),
    )


def _next_try(life: dict[str, Any]) -> str:
    return tr("The step is tried again by itself at {due}. Nothing is lost.", due=_due(life))


def _what_to_do(life: dict[str, Any]) -> str:
    if life["why"]:
        return tr("Mend what it waits for; the worker's log tells more.")
    return tr("Look whether the worker runs and is not paused: edubba doctor.")


def _due(life: dict[str, Any]) -> str:
    return cell_of(life["due_at"])


def _facts_of(known: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in known.items())


def _show_pauses(pauses: list[dict[str, Any]]) -> None:
    if not pauses:
        say(tr("Nothing is paused."))
    for one in pauses:
        kind = tr("all kinds") if one["kind"] == EVERY_KIND else one["kind"]
        say(
            tr(
                "Paused: {kind}, since {since}, because: {reason}",
                kind=kind,
                since=cell_of(one["since"]),
                reason=one["reason"],
            )
        )


def _kind_of(said: str) -> str:
    return EVERY_KIND if said == "all" else said

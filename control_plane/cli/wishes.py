"""`edubba plan | apply`: what a tenant.yml declares becomes requests, and nothing twice."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from control_plane.cli.choices import TimeoutOption, WaitOption
from control_plane.cli.client import Client, connect, pause
from control_plane.cli.exits import Code, Stop
from control_plane.cli.following import (
    LOOK_EVERY_S,
    follow_attachment,
    follow_request,
    require_in_service,
)
from control_plane.cli.means import left_of
from control_plane.cli.terminal import answer, cell_of, note, rows, say, tr
from control_plane.hosting.rules import TenantFile, parse_tenant_document
from control_plane.kit.documents import Document

LONGEST_S = 900
FileOption = Annotated[
    Path, typer.Option("--file", "-f", help="What is declared; - is standard input.")
]
FileReasonOption = Annotated[
    str, typer.Option("--reason", "-r", help="Why; else as the file says. It is kept for ever.")
]


def plan(
    file: FileOption = Path("tenant.yml"),
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with 10 if there is something to ask for.")
    ] = False,
) -> None:
    """Say which requests a tenant.yml would become, and their cost; nothing is changed.

    Exit code 0: it could be applied. 6: it could not; each reason is said with its line.
    """
    document = _read(file)
    client = connect()
    with _with_lines(document):
        found = client.post("/v1/wishes/plan", document.value.model_dump(mode="json"))
    answer(found, lambda: _show(found, is_plan=True))
    if any(item["verdict"] == "differs" for item in found["items"]):
        raise typer.Exit(int(Code.REFUSED))
    if any(one["verdict"] == "differs" for one in found["attachments"]):
        raise typer.Exit(int(Code.REFUSED))
    if exit_code and (found["changed"] or _to_attach(found)):
        raise typer.Exit(int(Code.CHANGES))


def apply(
    file: FileOption = Path("tenant.yml"),
    reason: FileReasonOption = "",
    wait: WaitOption = False,
    timeout: TimeoutOption = LONGEST_S,
) -> None:
    """Ask for what a tenant.yml declares and isn't so; applied again it asks for nothing.

    All of the file is asked for, or nothing; attachments once both hostings are in service. With
    --wait it ends when all is as declared.
    """
    document = _read(file)
    ends_at = time.monotonic() + timeout
    wish = document.value.model_dump(mode="json")
    wish["reason"] = reason or wish["reason"]
    client = connect()
    done = _apply(client, document, wish)
    for item in done["items"]:
        note(_sentence_of(item))
    if wait:
        _wait(client, document.value, done["items"], ends_at)
        while _verdicts(done) & {"waits"} and time.monotonic() < ends_at:
            done["attachments"] = _apply(client, document, wish)["attachments"]
            if _verdicts(done) & {"waits"}:
                pause(LOOK_EVERY_S)
    for one in done["attachments"]:
        note(_sentence_of_join(one))
    if wait:
        _wait_for_attachments(client, done, ends_at)
    answer(done, lambda: _show(done, is_plan=False))


def _apply(client: Client, document: Document[TenantFile], wish: dict[str, Any]) -> dict[str, Any]:
    with _with_lines(document):
        done: dict[str, Any] = client.post("/v1/wishes/apply", wish)
    return done


def _verdicts(found: dict[str, Any]) -> set[str]:
    return {one["verdict"] for one in found["attachments"]}


def _to_attach(found: dict[str, Any]) -> set[str]:
    return _verdicts(found) & {"attach", "waits"}


def _read(file: Path) -> Document[TenantFile]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Stop(
            Code.USAGE,
            "file_unreadable",
            tr("{file} can't be read", file=file),
            tr("Name the file with -f; it is text in UTF-8."),
            why=str(error),
        ) from error
    return parse_tenant_document(text, str(file))


@contextmanager
def _with_lines(document: Document[TenantFile]) -> Iterator[None]:
    """Say of what the platform refuses on which line of the file it stands."""
    try:
        yield
    except Stop as stop:
        pointer = stop.facts.get("pointer")
        if pointer is None:
            raise
        parts = [int(part) if part.isdecimal() else part for part in pointer.split("/")[1:]]
        line = document.line_of(tuple(parts))
        title = tr(
            "{source}, line {line}: {reason}", source=document.source, line=line, reason=stop.title
        )
        facts = {**stop.facts, "source": document.source, "line": line}
        raise Stop(stop.code, stop.reason, title, stop.mend, **facts) from stop


def _wait(client: Client, file: TenantFile, items: list[dict[str, Any]], ends_at: float) -> None:
    states = {wished.name: wished.state for wished in file.hostings}
    for item in items:
        if item["hosting"] is None:
            continue
        hosting = client.get(f"/v1/hostings/{item['hosting']}")
        request_id = (item["request"] or {}).get("id") or hosting["open_request"]
        if request_id is not None:
            follow_request(client, request_id, max(1.0, ends_at - time.monotonic()))
            hosting = client.get(f"/v1/hostings/{item['hosting']}")
        if states[item["name"]] == "active":
            require_in_service(client, item["hosting"])
        item["status"], item["url"] = hosting["status"], hosting["url"]


def _wait_for_attachments(client: Client, done: dict[str, Any], ends_at: float) -> None:
    hostings = {item["name"]: item["hosting"] for item in done["items"]}
    for one in done["attachments"]:
        if one["verdict"] != "undeclared":
            hosting, left_s = hostings[one["hosting"]], max(1.0, ends_at - time.monotonic())
            follow_attachment(client, hosting, one["variable"], left_s)


def _show(found: dict[str, Any], *, is_plan: bool) -> None:
    titles = ("Hosting", "Comes to", "State", "Cost a month", "Decided by")
    rows(titles, [_cells(item, is_plan=is_plan) for item in found["items"]])
    for item in found["items"]:
        for one in item["differences"]:
            say(_difference(item["name"], item["verdict"], one))
        if item.get("url") and item["status"] == "active":
            say(f"{item['name']}: {item['url']}")
    for one in found["undeclared"]:
        say(
            tr(
                "{name} ({status}) is not declared here and is left alone.",
                name=one["name"],
                status=tr(one["status"]),
            )
        )
    for one in found["attachments"]:
        if is_plan:
            say(_sentence_of_join(one, is_plan=True))
    _show_sum(found, is_plan=is_plan)


def _show_sum(found: dict[str, Any], *, is_plan: bool) -> None:
    if not found["changed"]:
        if not _to_attach(found):
            say(tr("There is nothing to ask for."))
        return
    count, cost = found["changed"], found["cost"]["per_month"]
    message = "Requests to be made: {count}" if is_plan else "Requests made: {count}"
    say(tr(message, count=count))
    if found["cost"]["micros_per_hour"]:
        say(tr("More a month: {amount}", amount=cost))
    if found["saves"]["micros_per_hour"]:
        say(tr("Less a month: {amount}", amount=found["saves"]["per_month"]))
    left = left_of(found["remaining"], found["cost"]["currency"])
    say(tr("Left then: {left}", left=left))


def _cells(item: dict[str, Any], *, is_plan: bool) -> list[object]:
    cost = item["plan"]["cost"]["per_month"] if item["plan"] else None
    decided_by = item["approved_by"]
    if decided_by is None and item["verdict"] in {"create", "change", "end"}:
        decided_by = tr("an operator must") if is_plan else tr("waits for an operator")
    status = item["status"]
    return [item["name"], tr(item["verdict"]), status and tr(status), cost, decided_by]


def _sentence_of(item: dict[str, Any]) -> str:
    sentences = {
        "create": "{name}: asked for ({request}, {status})",
        "change": "{name}: its change is asked for ({request}, {status})",
        "end": "{name}: its end is asked for ({request}, {status})",
        "unchanged": "{name}: as declared, nothing to ask for",
    }
    request = item["request"] or {}
    known = {"request": request.get("id"), "status": tr(request.get("status", ""))}
    return tr(sentences[item["verdict"]], name=item["name"], **known)


def _sentence_of_join(one: dict[str, Any], *, is_plan: bool = False) -> str:
    sentences = {
        "attach": "{hosting} would be attached to {target} now."
        if is_plan
        else "{hosting} is being attached to {target}; it finds the address in {variable}.",
        "waits": "{hosting} can be attached to {target} once both are in service: apply again then,"
        " or with --wait.",
        "unchanged": "{hosting} is attached to {target}, as declared.",
        "differs": "{hosting} has {variable} from another attachment; `edubba attachment end"
        " {attachment}` makes room for {target}.",
        "undeclared": "{hosting} is attached to {target}; that is not declared here and is left"
        " alone.",
    }
    return tr(sentences[one["verdict"]], **one)


def _difference(name: str, verdict: str, one: dict[str, Any]) -> str:
    if verdict == "change":
        return tr(
            "{name}: {field} goes from {present} to {wished}.",
            name=name,
            field=one["field"],
            present=cell_of(one["present"]),
            wished=cell_of(one["wished"]),
        )
    return tr(
        "{name}: {field} is {present}, declared is {wished}; put into the file what there is,"
        " or end the hosting and ask anew.",
        name=name,
        field=one["field"],
        present=cell_of(one["present"]),
        wished=cell_of(one["wished"]),
    )

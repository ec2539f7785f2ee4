"""The doors of the application, as WSGI: two pages, one form, and two answers for programs."""

import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

import psycopg

from visits import pages, records

MAX_FORM = 1024
HEADERS = [
    ("Cache-Control", "no-store"),
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'",
    ),
    ("Referrer-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
]
Answer = tuple[HTTPStatus, str, str]  # the status, what it is or where it leads, the text


def application(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
    """Answer one visitor."""
    try:
        status, kind, text = _door(environ)(environ)
    except psycopg.Error:
        environ["wsgi.errors"].write("The database does not answer.\n")
        status = HTTPStatus.SERVICE_UNAVAILABLE
        kind, text = "text/html", pages.show_trouble(_language(environ), "away")
    body = text.encode()
    told = ("Location", kind) if status == HTTPStatus.SEE_OTHER else ("Content-Type", _typed(kind))
    length = ("Content-Length", str(len(body)))
    start(f"{status.value} {status.phrase}", [told, length, *HEADERS])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _door(environ: WSGIEnvironment) -> Callable[[WSGIEnvironment], Answer]:
    method = "GET" if environ["REQUEST_METHOD"] == "HEAD" else environ["REQUEST_METHOD"]
    path = environ.get("PATH_INFO", "/")
    doors: dict[tuple[str, str], Callable[[WSGIEnvironment], Answer]] = {
        ("GET", "/"): _show,
        ("GET", "/en/"): _show,
        ("POST", "/visits"): _record,
        ("POST", "/en/visits"): _record,
        ("GET", "/visits.json"): _count,
        ("GET", "/health"): _check,
    }
    return doors.get((method, path), _miss)


def _show(environ: WSGIEnvironment) -> Answer:
    recorded = parse_qs(environ.get("QUERY_STRING", "")).get("recorded", [""])[0]
    clinics = records.list_clinics()
    text = pages.show_clinics(_language(environ), clinics, _number(recorded))
    return HTTPStatus.OK, "text/html", text


def _record(environ: WSGIEnvironment) -> Answer:
    """Record a visit and lead back to the page, so that loading it again records nothing."""
    lang = _language(environ)
    length = _number(environ.get("CONTENT_LENGTH") or "0")
    is_ours = environ.get("HTTP_SEC_FETCH_SITE", "same-origin") in {"same-origin", "none"}
    if length is None or length > MAX_FORM or not is_ours:
        return HTTPStatus.BAD_REQUEST, "text/html", pages.show_trouble(lang, "refused")
    form = parse_qs(environ["wsgi.input"].read(length).decode(errors="replace"))
    clinic = _number(form.get("clinic", [""])[0])
    if clinic is None or not records.record_visit(clinic):
        return HTTPStatus.BAD_REQUEST, "text/html", pages.show_trouble(lang, "refused")
    return HTTPStatus.SEE_OTHER, f"{pages.TEXTS[lang]['home']}?recorded={clinic}", ""


def _count(_environ: WSGIEnvironment) -> Answer:
    return HTTPStatus.OK, "application/json", _json(total=records.count_visits())


def _check(_environ: WSGIEnvironment) -> Answer:
    """Say whether the database has what this release needs."""
    return HTTPStatus.OK, "application/json", _json(clinics=len(records.list_clinics()))


def _miss(environ: WSGIEnvironment) -> Answer:
    text = pages.show_trouble(_language(environ), "missing")
    return HTTPStatus.NOT_FOUND, "text/html", text


def _language(environ: WSGIEnvironment) -> str:
    return "en" if environ.get("PATH_INFO", "/").startswith("/en/") else "ar"


def _number(text: str) -> int | None:
    is_one = text.isascii() and text.isdecimal() and len(text) <= len("9999")
    return int(text) if is_one else None


def _json(**facts: Any) -> str:
    return json.dumps(facts) + "\n"


def _typed(kind: str) -> str:
    return f"{kind}; charset=utf-8"

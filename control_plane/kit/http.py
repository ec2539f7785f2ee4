"""HTTP, the same for every room: problems as RFC 9457 documents, ids, headers, figures.

Knows no route and no permission. Texts of its problems are in the catalogue like all others.
"""

import re
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control_plane.kit import metrics
from control_plane.kit.errors import Problem, Refused, Unavailable
from control_plane.kit.ids import new_id
from control_plane.kit.log import get_log
from control_plane.kit.text import LOCALES, best_locale, translate

log = get_log("http")
MAX_ENTRIES = 20  # named in a header; a list of all of them is `/v1/ledger/entries`
MAX_BODY_BYTES = 1 << 20  # of a JSON document; routes that take content state their own
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{8,64}")
_SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PayloadInvalid(Problem):
    """The document sent has not the form that this route takes; `errors` says where and why."""

    code: ClassVar[str] = "payload_invalid"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The data sent isn't valid"
    mend: ClassVar[str] = "Correct what is listed and send it again."


class RouteUnknown(Problem):
    """Nothing answers at this path."""

    code: ClassVar[str] = "route_unknown"
    status: ClassVar[int] = 404
    title: ClassVar[str] = "There is nothing at this address"
    mend: ClassVar[str] = "Check the address; /v1/openapi.json lists them all."


class MethodNotAllowed(Problem):
    """The path is right, the method isn't."""

    code: ClassVar[str] = "method_not_allowed"
    status: ClassVar[int] = 405
    title: ClassVar[str] = "This address doesn't take {method}"
    mend: ClassVar[str] = "Use one of the methods in the Allow header."


class BodyTooLarge(Problem):
    """More bytes than the route takes."""

    code: ClassVar[str] = "body_too_large"
    status: ClassVar[int] = 413
    title: ClassVar[str] = "Too much data was sent"
    mend: ClassVar[str] = "Send less at once."


class HttpRefused(Problem):
    """Another refusal of the framework."""

    code: ClassVar[str] = "request_refused"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "The request can't be understood"
    mend: ClassVar[str] = "Check how the request is made."


class AnswerLost(Problem):
    """Something nobody foresaw; the log has it under the request's id."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong on our side"
    mend: ClassVar[str] = "Try again. If it lasts, tell the data centre this number: {request_id}."


class TemporarilyUnavailable(Problem):
    """Something behind the API does not answer now."""

    code: ClassVar[str] = "temporarily_unavailable"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "This can't be answered at the moment"
    mend: ClassVar[str] = "Try again in a few seconds."


class OutsideRefused(Problem):
    """A port said no to what a request did inline, such as storing a blob."""

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "What was sent was refused: {reason}"
    mend: ClassVar[str] = "Correct it and send it again."


_BY_STATUS: dict[int, type[Problem]] = {
    404: RouteUnknown,
    405: MethodNotAllowed,
    413: BodyTooLarge,
}


def install(app: FastAPI) -> None:
    """Let the application answer every error as a problem, and dress every answer."""
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_framework)
    app.add_exception_handler(Unavailable, _answer_unavailable)
    app.add_exception_handler(Refused, _answer_refused)
    app.add_middleware(Outermost)


def problem_response(
    problem: Problem, request: Request, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the RFC 9457 document of a problem, in the reader's language."""
    return _document(
        problem, locale_of(request), request.scope["state"].get("request_id", ""), headers
    )


def locale_of(request: Request) -> str:
    """Return the language to answer in: the request's, else the person's, else Arabic."""
    asked = request.headers.get("accept-language", "")
    if any(part.strip()[:2].lower() in LOCALES for part in asked.split(",")):
        return best_locale(asked)
    known = getattr(request.state, "locale", None)
    return known if known in LOCALES else best_locale(None)


class Outermost:
    """Around every request: its id, its figures, the headers of its answer, the last catch."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send)
        with structlog.contextvars.bound_contextvars(request_id=answer.request_id):
            try:
                await self._app(scope, receive, answer.send)
            except Exception:  # the edge of the process: nobody above could answer
                log.exception("request_crashed", method=scope["method"], route=_route(scope))
                if answer.status is None:
                    lost = AnswerLost(request_id=answer.request_id)
                    response = problem_response(lost, Request(scope, receive))
                    await response(scope, receive, answer.send)


class _Answer:
    """What is known of one answer while it goes out."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send, self._began = scope, send, time.monotonic()
        self.status: int | None = None
        self._is_replaced = False
        offered = Headers(scope=scope).get("x-request-id", "")
        self.request_id = offered if _REQUEST_ID.fullmatch(offered) else new_id("web")
        scope.setdefault("state", {})["request_id"] = self.request_id

    async def send(self, message: Message) -> None:
        if self._is_replaced:
            return
        if message["type"] == "http.response.start":
            if _is_framework_refusal(message):
                await self._say_too_large()
                return
            self.status = cast("int", message["status"])
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.request_id
            for name, value in _SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            if self._scope["state"].get("is_replay"):
                headers["Idempotency-Replayed"] = "true"
            if entries := self._scope["state"].get("entries"):
                headers["Ledger-Entry"] = ", ".join(entries[:MAX_ENTRIES])
            self._count()
        await self._send(message)

    async def _say_too_large(self) -> None:
        request = Request(self._scope)
        response = problem_response(BodyTooLarge(), request, {"Connection": "close"})
        await response(self._scope, request.receive, self.send)
        self._is_replaced = True

    def _count(self) -> None:
        method, route = self._scope["method"], _route(self._scope)
        seconds = time.monotonic() - self._began
        metrics.HTTP_REQUESTS.labels(method, route, str(self.status)).inc()
        metrics.HTTP_SECONDS.labels(method, route).observe(seconds)
        log.info(
            "request_answered",
            method=method,
            route=route,
            status=self.status,
            took_ms=round(seconds * 1000),
        )


def _is_framework_refusal(message: Message) -> bool:
    """Whether this is the body limit's own answer, given before any handler is asked."""
    kind = MutableHeaders(scope=message).get("content-type", "")
    return message["status"] == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and kind.startswith(
        "text/plain"
    )


def _route(scope: Scope) -> str:
    """Return the template, never the path: a path has ids, and a scanner has a million paths."""
    return str(getattr(scope.get("route"), "path", "unknown"))


def _document(
    problem: Problem, locale: str, request_id: str, headers: Mapping[str, str] | None
) -> Response:
    facts = jsonable_encoder(problem.facts)
    body = {
        "type": f"urn:edubba:problem:{problem.code}",
        "title": translate(problem.title, locale, **problem.facts),
        "status": problem.status,
        "code": problem.code,
        "mend": translate(problem.mend, locale, **problem.facts) if problem.mend else "",
        "facts": facts,
        "request_id": request_id,
    }
    extra = {"Content-Language": locale, **(headers or {})}
    if problem.status == HTTPStatus.UNAUTHORIZED:  # RFC 9110 asks for the challenge
        extra["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body, problem.status, extra, "application/problem+json")


async def _answer_problem(request: Request, error: Exception) -> Response:
    problem = cast("Problem", error)
    headers = (
        {"Retry-After": str(problem.facts["retry_after_s"])}
        if ("retry_after_s" in problem.facts)
        else None
    )
    return problem_response(problem, request, headers)


async def _answer_invalid(request: Request, error: Exception) -> Response:
    # What was sent isn't repeated: it may hold a password.
    errors = [
        {"where": ".".join(str(part) for part in found["loc"]), "why": found["msg"]}
        for found in cast("RequestValidationError", error).errors()
    ]
    return problem_response(PayloadInvalid(errors=errors), request)


async def _answer_framework(request: Request, error: Exception) -> Response:
    refused = cast("HTTPException", error)
    kind = _BY_STATUS.get(refused.status_code, HttpRefused)
    return problem_response(kind(method=request.method), request, refused.headers)


async def _answer_unavailable(request: Request, error: Exception) -> Response:
    away = cast("Unavailable", error)
    log.warning("request_unavailable", why=away.code, route=_route(request.scope))
    facts: dict[str, Any] = {"reason": away.code}
    return problem_response(TemporarilyUnavailable(**facts), request, {"Retry-After": "5"})


async def _answer_refused(request: Request, error: Exception) -> Response:
    refused = cast("Refused", error)
    return problem_response(OutsideRefused(**{**refused.facts, "reason": refused.code}), request)

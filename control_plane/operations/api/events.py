"""The story of a hosting or a request: as a list, or as a stream while it happens."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from control_plane.engine.lives import find_life, list_events
from control_plane.engine.models import TimelineEvent
from control_plane.hosting.models import Hosting
from control_plane.identity.access import Desk, DeskDep, may
from control_plane.identity.rules import Actor, NotFound, Permission
from control_plane.kit.feed import Feed, FeedFull
from control_plane.kit.ids import first_id_at
from control_plane.operations import queries
from control_plane.operations.rules import TooManyStreams
from control_plane.operations.schemas import EventOut, EventsOut

router = APIRouter(prefix="/v1", tags=["events"])

HEARTBEAT_S = 15.0  # below the idle time-outs of proxies
LONGEST_STREAM_S = 600.0  # then the reader comes again, with a token that must still hold
BACKLOG = 500

Reader = Annotated[Actor, may(Permission.HOSTING_READ)]
Form = Annotated[
    Literal["stream", "json"], Query(alias="format", description="`json`: a list, at once")
]
LastId = Annotated[
    str | None, Header(alias="Last-Event-ID", max_length=32, description="Go on behind this event")
]
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The events: a stream, or with `?format=json` a list",
        "content": {
            "text/event-stream": {"schema": {"type": "string"}},
            "application/json": {"schema": {"$ref": "#/components/schemas/EventsOut"}},
        },
    }
}


@router.get("/hostings/{hosting_id}/events", response_model=EventsOut, responses=_ANSWERS)
async def follow_hosting(
    desk: DeskDep,
    actor: Reader,
    request: Request,
    hosting_id: str,
    form: Form = "stream",
    last_event_id: LastId = None,
) -> EventsOut | StreamingResponse:
    """Tell what happens to a hosting."""
    life_id = await to_thread.run_sync(_life_of_hosting, desk, actor, hosting_id)
    return await _answer(desk, request, life_id, form, last_event_id)


@router.get("/requests/{request_id}/events", response_model=EventsOut, responses=_ANSWERS)
async def follow_request(
    desk: DeskDep,
    actor: Reader,
    request: Request,
    request_id: str,
    form: Form = "stream",
    last_event_id: LastId = None,
) -> EventsOut | StreamingResponse:
    """Tell what happens to the hosting that a request is about."""
    life_id = await to_thread.run_sync(_life_of_request, desk, actor, request_id)
    return await _answer(desk, request, life_id, form, last_event_id)


def new_feed(desk: Desk) -> Feed[TimelineEvent]:
    """Return the feed of all streams of a process; the composition root runs it."""

    def poll(life_ids: Collection[str], since: float) -> Mapping[str, Sequence[TimelineEvent]]:
        fresh: dict[str, list[TimelineEvent]] = defaultdict(list)
        with desk.reading() as session:
            for event in queries.list_events_since(session, life_ids, first_id_at("evt", since)):
                fresh[event.life_id].append(event)
        return fresh

    return Feed(poll)


async def _answer(
    desk: Desk, request: Request, life_id: str, form: str, last_id: str | None
) -> EventsOut | StreamingResponse:
    if form == "json":
        events = await to_thread.run_sync(_backlog, desk, life_id, last_id)
        return EventsOut(items=[EventOut.of(event) for event in events])
    stream = _stream(desk, request.app.state.feed, life_id, last_id)
    try:
        first = await anext(stream)  # a full house is answered as a problem, not as a stream
    except FeedFull:
        raise TooManyStreams(retry_after_s=10) from None
    return StreamingResponse(
        _resumed(first, stream),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


async def _resumed(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        yield first
        async for piece in rest:
            yield piece


async def _stream(
    desk: Desk, feed: Feed[TimelineEvent], life_id: str, last_id: str | None
) -> AsyncGenerator[bytes, None]:
    ends_at = time.monotonic() + LONGEST_STREAM_S
    with feed.follow(life_id) as queue:  # before the backlog is read, so that nothing falls between
        yield b"retry: 2000\n\n"
        sent: set[str] = set()
        for event in await to_thread.run_sync(_backlog, desk, life_id, last_id):
            sent.add(event.id)
            yield _piece(event)
        floor = last_id or ""
        while time.monotonic() < ends_at:
            try:
                fresh = await asyncio.wait_for(queue.get(), HEARTBEAT_S)
            except TimeoutError:
                yield b": still here\n\n"
                continue
            if fresh is None:
                return
            if fresh.id not in sent and fresh.id > floor:
                sent.add(fresh.id)
                yield _piece(fresh)


def _piece(event: TimelineEvent) -> bytes:
    shown = EventOut.of(event).model_dump_json()
    return f"id: {event.id}\nevent: {event.event}\ndata: {shown}\n\n".encode()


def _backlog(desk: Desk, life_id: str, last_id: str | None) -> Sequence[TimelineEvent]:
    with desk.reading() as session:
        return list_events(session, life_id, after=last_id, limit=BACKLOG)


def _life_of_hosting(desk: Desk, actor: Actor, hosting_id: str) -> str:
    with desk.reading() as session:
        hosting = queries.get_hosting_for(session, actor, hosting_id)
    return _life_of(desk, actor, hosting)


def _life_of_request(desk: Desk, actor: Actor, request_id: str) -> str:
    with desk.reading() as session:
        request = queries.get_request_for(session, actor, request_id)
        hosting = queries.get_hosting_for(session, actor, request.hosting_id)
    return _life_of(desk, actor, hosting)


def _life_of(desk: Desk, actor: Actor, hosting: Hosting) -> str:
    with desk.reading() as session:
        life = find_life(session, "hosting", hosting.id)
    if life is None:
        raise NotFound(kind="life", id=hosting.id)
    desk.note_read(actor, "events.read", hosting.id, hosting.agency_id)
    return life.id

"""Structured logs: an event in the past tense and its facts; JSON lines in production.

What is secret never gets here; `error` means that a human must look.
"""

import logging
import sys
from typing import Any

import structlog

# Libraries that tell of each look at the database's version or at a token, twice of each message.
_CHATTY = ("alembic", "celery.app.trace", "celery.worker.strategy", "httpx2")


def get_log(room: str) -> Any:
    """Return the logger of a room; `room` becomes a key of each line."""
    return structlog.get_logger(room=room)


def configure(*, json_lines: bool, level: str = "INFO") -> None:
    """Set up logging for a process, libraries' own logs included, on standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if json_lines
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()  # noqa: TID251  # the one place where the root logger is set up
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)  # noqa: TID251

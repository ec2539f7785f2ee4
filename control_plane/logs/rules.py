"""How much of what hostings write is kept, for how long, and how often it is fetched. Pure."""

from datetime import datetime, timedelta

# Per hosting: some thousand lines, which is what a person reads of a fault; 1,000 hostings fill a
# gigabyte. Who wants more has a log of their own where the application writes it.
KEPT_BYTES = 1024 * 1024
KEPT_FOR = timedelta(days=14)  # a fault of last week is found; what people did a month ago is gone
ROW_BYTES = 64  # what a line takes besides its text, so that empty lines are bounded, too
PAUSE = timedelta(seconds=5)  # however many people ask, no server is asked more often
AHEAD = timedelta(minutes=1)  # a server's clock may differ so much from ours


def moment_of(told: datetime | None, now: datetime) -> datetime:
    """Return when a line was written: as its server says, unless that can't be."""
    if told is None or told > now + AHEAD:
        return now
    return told


def is_asked(collected_at: datetime | None, asked_at: datetime | None) -> bool:
    """Whether somebody asked since the last look."""
    return asked_at is not None and (collected_at is None or collected_at < asked_at)


def may_be_asked(collected_at: datetime | None, asked_at: datetime | None, now: datetime) -> bool:
    """Whether it is long enough ago that somebody asked, or that the worker looked."""
    known = [moment for moment in (collected_at, asked_at) if moment is not None]
    return not known or max(known) + PAUSE <= now

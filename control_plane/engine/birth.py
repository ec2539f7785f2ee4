"""How a life begins: what a room's rules may say of its flow without knowing the engine."""

from dataclasses import dataclass
from datetime import timedelta

DEFAULT_DEADLINE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Birth:
    """The kind and flow version of a life, its first step, and how long that may take."""

    kind: str
    version: int
    start: str
    deadline: timedelta = DEFAULT_DEADLINE

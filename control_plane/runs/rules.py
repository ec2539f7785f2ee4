"""The states of a run, one line per transition, and the pause after one that failed. Pure."""

from datetime import timedelta

from control_plane.ports.automation.port import RunState

FIRST_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(minutes=10)

_S = RunState
KEPT_STATES = tuple(state for state in RunState if state != _S.ABSENT)  # a row is never absent
UNFINISHED = frozenset({_S.QUEUED, _S.RUNNING})
TRANSITIONS: frozenset[tuple[RunState, RunState]] = frozenset(
    {
        (_S.QUEUED, _S.RUNNING),  # the runner has taken it
        (_S.QUEUED, _S.CANCELLED),  # it was not wanted any more before it began
        (_S.RUNNING, _S.SUCCEEDED),
        (_S.RUNNING, _S.FAILED),  # `reason` says why
        (_S.RUNNING, _S.CANCELLED),  # it was not wanted any more
        (_S.RUNNING, _S.LOST),  # the runner was restarted, and nothing of the run lives on
    }
)


class RunMoveRefusedError(RuntimeError):
    """A run can't go there from where it is: a fault of ours."""

    def __init__(self, present: str, to: str) -> None:
        super().__init__(f"a run can't go from {present} to {to}")


def move(present: str, to: RunState) -> RunState:
    """Return `to` if a run may go there. Raises RunMoveRefusedError."""
    if (RunState(present), to) not in TRANSITIONS:
        raise RunMoveRefusedError(present, to)
    return to


def pause_after(failures: int) -> timedelta:
    """Return how long to wait after so many failures of the same wish: doubling, up to a limit."""
    doubled: timedelta = FIRST_PAUSE * 2 ** min(max(failures - 1, 0), 12)
    return min(doubled, LONGEST_PAUSE) if failures else timedelta()

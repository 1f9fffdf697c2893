"""Errors with which a run ends or stops without a result."""

from uuid import UUID

from relay.api.states import RunState
from secagg.errors import SecaggError


class RunPausedError(SecaggError):
    """Someone paused the run; `secagg-coordinator resume` continues it."""


class RunCancelledError(SecaggError):
    """Someone cancelled the run."""


class RunOverdueError(SecaggError):
    """The run's deadline has passed."""


class RunEndedError(SecaggError):
    """The run is already over, here or at the relay.

    Attributes:
        state: final state of the run.
        reason: why it ended in this state.
    """

    def __init__(self, run: UUID, state: RunState, reason: str) -> None:
        self.state = state
        self.reason = reason
        super().__init__(f"run {run} is {state}{f' ({reason})' if reason else ''}; rerun it with: retry {run}")


class TakenOverError(SecaggError):
    """Another process of this coordinator has taken over the run: this one has sent nothing since and has stopped."""

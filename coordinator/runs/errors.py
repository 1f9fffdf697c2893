"""How a run ends, or stops, other than by a result."""

from uuid import UUID

from relay.api.states import RunState
from secagg.errors import SecaggError


class RunPausedError(SecaggError):
    """Somebody paused the run; it goes on with `secagg-coordinator resume`."""


class RunCancelledError(SecaggError):
    """Somebody cancelled the run."""


class RunOverdueError(SecaggError):
    """The run's deadline passed."""


class RunEndedError(SecaggError):
    """The run is over already, here or at the relay.

    Attributes:
        state: the final state.
    """

    def __init__(self, run: UUID, state: RunState, reason: str) -> None:
        self.state = state
        self.reason = reason
        super().__init__(f"run {run} is {state}{f' ({reason})' if reason else ''}; repeat it with: retry {run}")


class TakenOverError(SecaggError):
    """Another process of this coordinator has the run: this one has sent nothing since, and works on it no more."""

"""Tells the relay, and so a run's coordinator, what this site waits for or refuses, with the public reason.

The protocol has no frame for either: a site that waits for its officer sends nothing. What a report says rests on
public facts, as the wait itself does, and it names no other project (`participant.daemon.release_control`).
"""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from participant.records.decisions import Waiting
from relay.api.states import SiteState
from relay.client.transport import RelayClient, RelayError, RelayUnavailableError
from relay.service.logs import logger

log = logger(__name__)

_AGREES = 2  # tries to follow a state that differs from the one that this process remembers


class OwnState(NamedTuple):
    """What this site says about its part in a run."""

    state: SiteState
    round: int
    reason: str


class Reporter:
    """What the relay was told about each run, brought up to date by `send`."""

    def __init__(self, relay: RelayClient) -> None:
        self._relay = relay
        self._refused: dict[UUID, OwnState] = {}
        self._told: dict[UUID, OwnState] = {}

    def refuse(self, run: UUID, round_: int, reason: str) -> None:
        """Note that this site refuses an epoch (round 0), or the survivors of a round."""
        self._refused[run] = OwnState(SiteState.REFUSED, round_, for_the_wire(reason))

    def forget(self, run: UUID) -> None:
        """Drop what was noted about a run that is over."""
        self._refused.pop(run, None)
        self._told.pop(run, None)

    async def send(self, waiting: Iterable[Waiting]) -> None:
        """Report what waits now, what was refused, and what no longer waits.

        Raises:
            RelayUnavailableError: the relay did not answer; the next call tries again.
        """
        waits = {
            one.run: OwnState(SiteState.WAITING, one.round, for_the_wire(one.public)) for one in waiting if one.public
        }
        refused, self._refused = self._refused, {}
        try:
            for run, own in (refused | waits).items():
                if self._told.get(run) != own:
                    await self._report(run, own)
        except RelayUnavailableError:
            self._refused = refused | self._refused
            raise
        for run, told in list(self._told.items()):
            if told.state is SiteState.WAITING and run not in waits:
                await self._report(run, OwnState(SiteState.READY, told.round, ""))

    async def _report(self, run: UUID, own: OwnState) -> None:
        """Report this site's state; a relay that refuses it is not asked again."""
        state: SiteState | str = self._told[run].state if run in self._told else SiteState.WAITING
        for _ in range(_AGREES):
            try:
                await self._relay.report(run, state, own.state, round_=own.round, reason=own.reason)
                break
            except RelayError as error:
                log.info("report-refused", run=run, type=error.type, state=error.state)
                if error.state is None or error.state == state:
                    break
                state = error.state
        self._told[run] = own


def for_the_wire(reason: str) -> str:
    """Return a reason in the form that protocol and relay carry: printable ASCII, at most 200 characters."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in reason)[:200]

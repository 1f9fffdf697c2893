"""The site's part in one epoch of a run: the protocol's state machine, kept in the journal.

Each step commits the new state, the frames to send and their ledger entries in one transaction.
"""

import os
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np

from participant.policy.answer import Answer
from participant.policy.differencing import AnsweredRows
from participant.policy.rules import AskedEpoch, Offer, Policy
from participant.records.decisions import Decisions
from participant.records.ledger import ConfirmedProject, Ledger
from participant.study.replay import Occurrence
from participant.study.terms import ProjectTerms
from relay.api.wire import to_base64url
from relay.party.journal import Journal, JournalBatch
from secagg import envelope
from secagg.codec import Record
from secagg.envelope import Frame
from secagg.errors import FaultyCoordinatorError
from secagg.identity import Identity
from secagg.messages import Manifest
from secagg.protocol.participant_round import (
    AwaitConfirmation,
    AwaitOpening,
    AwaitQuorum,
    AwaitRelease,
    AwaitResult,
    AwaitSurvivors,
    AwaitVector,
    Closed,
)
from secagg.protocol.participant_setup import AwaitCohort, Outside
from secagg.protocol.step import Event, Learned, Send, Step, StepInputs
from secagg.protocol.table import decode_state, encode_state, receive, tell

_FLOORS = ("V-0302", "V-0306", "V-0307")  # checks of a manifest against the site's own floors


@dataclass(frozen=True, slots=True)
class RunContext:
    """A run with its project, as this site's officer confirmed it."""

    run: UUID
    project: UUID
    coordinator: bytes
    terms: ProjectTerms
    roster: int  # number of sites in it

    @property
    def offer(self) -> Offer:
        return Offer(self.project, self.coordinator, self.terms)

    @classmethod
    def of(cls, run: UUID, project: UUID, confirmed: ConfirmedProject) -> "RunContext":
        roster = confirmed.roster
        return cls(run, project, roster.coordinator, ProjectTerms.decode(confirmed.terms), len(roster.sites))


class SiteRun:
    """The state machine of one epoch.

    Attributes:
        name: name of the machine in the journal: run and epoch.
        state: the last committed state.
    """

    def __init__(self, context: RunContext, name: str, state: Record, journal: Journal, identity: Identity) -> None:
        self.context = context
        self.name = name
        self.state = state
        self._journal = journal
        self._ledger = Ledger(journal.connection)
        self._records = AnsweredRows(journal.connection)
        self._decisions = Decisions(journal.connection)
        self._identity = identity

    @classmethod
    def invited(
        cls,
        context: RunContext,
        frame: Frame,
        confirmed: ConfirmedProject,
        policy: Policy,
        journal: Journal,
        identity: Identity,
    ) -> "SiteRun":
        """Return a new machine for an epoch whose manifest is about to be received."""
        ledger = Ledger(journal.connection)
        outside = Outside(
            roster=confirmed.roster,
            run=context.run.bytes,
            floors=policy.floors,
            last_epoch=ledger.last_epoch(context.run),
            survivors=ledger.survivors(context.run),
        )
        return cls(context, machine_name(context.run, frame.epoch), outside, journal, identity)

    @classmethod
    def stored(cls, run: UUID, project: UUID, name: str, journal: Journal, identity: Identity) -> "SiteRun | None":
        """Load the machine of this name from the journal, or None if its version of the project is not confirmed.

        Raises:
            RestoredStateError: the state was restored from a copy.
        """
        state: Any = decode_state(journal.state(name))
        confirmed = Ledger(journal.connection).version_of(project, state.membership.manifest.roster)
        return (
            None if confirmed is None else cls(RunContext.of(run, project, confirmed), name, state, journal, identity)
        )

    def receive(self, data: bytes, payload: bytes | None, message: int, policy: Policy) -> None:
        """Advance by one frame and mark it as read. Raises ProtocolError, and RefusedError for a manifest."""
        try:
            step = receive(self.state, data, self._inputs(), payload)
        except FaultyCoordinatorError as refusal:
            if isinstance(self.state, Outside) and refusal.check in _FLOORS:
                manifest = Manifest.decode(envelope.parse(data).body)
                self._check(manifest, policy)  # names the rule
            raise
        if isinstance(step.state, AwaitCohort):
            self._check(step.state.membership.manifest, policy)
        self._commit(step, message=message)

    def _check(self, manifest: Manifest, policy: Policy) -> None:
        policy.check_epoch(AskedEpoch(manifest, self.context.roster, time.time()), self.context.offer)

    def tell(
        self,
        event: Event,
        *,
        answer: Answer | None = None,
        task: Occurrence | None = None,
        standing: int | None = None,
    ) -> None:
        """Advance by a local event; what leaves enters the ledger with it.

        Args:
            event: the event.
            answer: the answer that an upload carries.
            task: the task of the plan that it belongs to.
            standing: number of the standing approval under which survivors are signed.
        """
        self._commit(tell(self.state, event, self._inputs()), answer=answer, task=task, standing=standing)

    def end(self, state: str) -> None:
        """Close the epoch because the run is in a final state at the relay."""
        with self._journal.transaction() as batch:
            batch.drop(self.name)
            self._decisions.settle(self.context.run)
            self._ledger.end_run(self.context.run, state)

    def _inputs(self) -> StepInputs:
        return StepInputs(identity=self._identity, rand=os.urandom(32))

    def _commit(
        self,
        step: Step,
        *,
        message: int | None = None,
        answer: Answer | None = None,
        task: Occurrence | None = None,
        standing: int | None = None,
    ) -> None:
        before = self.state
        if step.state is before and not step.effects and message is None:
            return
        with self._journal.transaction() as batch:
            if message is not None:
                batch.read_to(message)
            self._put(batch, step.state)
            for effect in step.effects:
                if isinstance(effect, Send):
                    batch.post(
                        self.context.run,
                        self.context.coordinator,
                        effect.frame.encode(),
                        effect.payload,
                        shared=effect.shared,
                    )
                elif isinstance(effect, Learned):
                    self._keep(effect)
                    if isinstance(before, AwaitRelease):
                        self._enter("published", round=effect.round, numbers=before.current.schema.length)
            self._note(before, step.state, answer, task, standing)
        self.state = step.state

    def _put(self, batch: JournalBatch, state: Record) -> None:
        """Store the state. Joining an epoch ends the run's earlier ones; a closed epoch leaves nothing behind.

        An earlier epoch that went on could still yield a sum that the later manifest was not checked against.
        """
        if isinstance(state, Closed):
            batch.drop(self.name)
            return
        batch.put(self.name, encode_state(state))
        if isinstance(state, AwaitCohort):
            for other in self._journal.machines():
                if other != self.name and other.startswith(f"{self.context.run}."):
                    batch.drop(other)

    def _keep(self, learned: Learned) -> None:
        total = np.asarray(learned.total, np.float64)
        self._ledger.keep_result(self.context.run, learned.round, learned.survivors, total.tobytes(), learned.root)

    def _note(
        self, before: Record, after: Record, answer: Answer | None, task: Occurrence | None, standing: int | None
    ) -> None:
        """Enter this transition's commitments into the ledger, and settle any action that was waiting for it."""
        if isinstance(before, (AwaitVector, AwaitConfirmation)) and type(after) is not type(before):
            self._decisions.settle(self.context.run)
        if isinstance(after, AwaitCohort):
            self._ledger.join_epoch(self.context.run, self.context.project, after.membership.manifest.epoch)
        elif isinstance(after, AwaitSurvivors) and answer is not None:
            current = after.current
            self._records.answer(answer.query.dataset, answer.to_remember)
            self._enter(
                "upload",
                round=current.round,
                query=answer.query.model_dump(mode="json"),
                dataset_version=answer.dataset_version,
                rows=answer.rows,
                moved=answer.moved,
                task=None if task is None else {"names": task.names, "number": task.number},
                numbers=current.schema.length,
                ring_bits=current.schema.ring_bits,
                clipped=after.clipped,
                roster=[to_base64url(after.membership.manifest.sites[site - 1]) for site in current.roster],
            )
        elif isinstance(before, AwaitConfirmation) and isinstance(after, (AwaitQuorum, AwaitOpening, AwaitResult)):
            keys = survivors_of(before)
            larger = self._ledger.survivors(self.context.run)
            dataset = self.context.terms.dataset
            self._records.sign(dataset, self.context.run, keys, instead_of=larger, provisional=standing is not None)
            self._ledger.keep_survivors(self.context.run, keys)
            self._enter(
                "survivors",
                round=before.current.round,
                dataset=dataset,
                sites=[to_base64url(key) for key in keys],
                **({} if standing is None else {"standing": standing}),
            )

    def _enter(self, what: str, **facts: Any) -> None:
        self._ledger.enter(
            {
                "what": what,
                "at": round(time.time(), 3),
                "project": str(self.context.project),
                "run": str(self.context.run),
                "epoch": self.name.partition(".")[2],
                **facts,
            }
        )


def survivors_of(state: AwaitConfirmation) -> tuple[bytes, ...]:
    """Return the keys of the proposed survivors."""
    return tuple(state.membership.manifest.sites[site - 1] for site in state.survivors)


def machine_name(run: UUID, epoch: bytes) -> str:
    """Return the name under which the journal keeps an epoch's machine."""
    return f"{run}.{epoch.hex()[:16]}"

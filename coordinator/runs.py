"""A run: its tasks in order, each an analysis over secure sums, from the first epoch to a final state at the relay."""

import time
from dataclasses import dataclass
from uuid import UUID

from coordinator.analyses import Result, SecureSum, SpecError, Sum, TableSpec, value_bits_for
from coordinator.config import CoordinatorConfig
from coordinator.driver import Cast, Driver, Pace
from coordinator.journal import Answer, RunRecord, RunTables
from coordinator.progress import Show
from coordinator.projects import Sealed
from coordinator.receipts import ReceiptLog, conclude
from participant.statistics import Query, layout_of
from relay.client.journal import Journal
from relay.client.transport import RelayClient, RunState
from secagg.errors import NotEnoughParticipantsError, ParameterError, SecaggError
from secagg.he.parameters import SUMS
from secagg.identity import Identity
from secagg.messages import Suite
from secagg.params import (
    MAX_RING_BITS,
    MAX_SITE_ROUNDS,
    LossRule,
    Profile,
    Schema,
    mac_lanes_for,
    ring_bits_for,
)

_PROFILES = {"semi-honest": Profile.SEMI_HONEST, "malicious": Profile.MALICIOUS}
_LOSS_RULES = {"continue": LossRule.CONTINUE, "pause": LossRule.PAUSE, "abort": LossRule.ABORT}
_SUITES = {"masks": Suite.X25519_MLKEM768_AES256, "he": Suite.X25519_MLKEM768_AES256_BFV}
_RING_BITS = {"masks": MAX_RING_BITS, "he": SUMS.plain_modulus.bit_length() - 1}  # a slot holds one value at least


class HeldBySitesError(SecaggError):
    """The sites opened a sum and keep it: the analysis ends here.

    Attributes:
        answer: round and sites.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(f"the sites hold the result of round {answer.round}: {', '.join(answer.survivors)}")


@dataclass(frozen=True, slots=True)
class Held:
    """What a run gives of an analysis whose sum its sites keep to themselves."""

    analysis: str
    round: int
    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What a run gave.

    Attributes:
        results: one for each task, in order; or who holds it.
        answers: every query that was asked, with its round, sites and sum.
        bytes_heard: bytes that each site sent to the coordinator, by its name.
    """

    results: tuple[Result | Held, ...]
    answers: tuple[tuple[Query, Answer], ...]
    bytes_heard: dict[str, int]


class RunSum:
    """The secure sum of a run: what the analyses ask, they ask here.

    Attributes:
        value_bits: bits of a value that leave room for all sites of the roster.
    """

    def __init__(self, driver: Driver, tables: RunTables, sealed: Sealed, rounds: int, value_bits: int) -> None:
        self._driver = driver
        self._tables = tables
        self._sealed = sealed
        self._rounds = rounds
        self._position = 0
        self.value_bits = value_bits

    async def __call__(self, query: Query) -> Sum:
        """Return the sum of a query: from the journal if it was learnt before a crash, else from a round.

        Raises:
            HeldBySitesError: the sites have opened it, and the project's terms leave it to them.
        """
        self._sealed.terms.check(query)
        data = query.encode()
        answer = self._tables.answer(self._position, data)
        if answer is None:
            await self._ensure_epoch()
            learn = self._sealed.terms.coordinator_learns
            answer = await self._driver.ask(data, self._schema(query), self._position, learn=learn)
        self._position += 1
        if answer.total is None:
            raise HeldBySitesError(answer)
        return Sum(layout_of(query).unflatten(answer.total), answer.survivors)

    def _schema(self, query: Query) -> Schema:
        segments = layout_of(query).segments(query.value_bits)
        parties = len(self._driver.left or ())
        bits = max(ring_bits_for(segment.levels, parties) for segment in segments)
        checked = self._sealed.terms.profile == "malicious" or self._sealed.terms.mode == "he"
        return Schema(ring_bits=bits, mac_lanes=mac_lanes_for(bits) if checked else 0, segments=segments)

    async def _ensure_epoch(self) -> None:
        """Prepare the next epoch when the rounds of the last one are used up; lost sites stay out of this run."""
        if self._driver.rounds_left:
            return
        sites = self._driver.left or self._sealed.confirmed
        await self._driver.prepare(
            sites,
            rounds=min(self._rounds, MAX_SITE_ROUNDS // len(sites)),
            profile=_PROFILES[self._sealed.terms.profile],
            loss_rule=_LOSS_RULES[self._sealed.terms.loss_rule],
            suite=_SUITES[self._sealed.terms.mode],
        )


async def carry_out(
    tasks: tuple[TableSpec, ...],
    run: UUID,
    sealed: Sealed,
    config: CoordinatorConfig,
    identity: Identity,
    journal: Journal,
    relay: RelayClient,
    show: Show,
) -> Report:
    """Carry out a run's tasks, or what is left of them after a crash, and bring the run to a final state.

    Raises:
        SpecError: an analysis needs the sums, and the sites keep them.
        ParameterError: the run was begun with other tasks, or in another project.
        NotEnoughParticipantsError: too few sites confirmed the roster, or were left in some step.
        AnalysisError: the data give no answer.
    """
    if not sealed.terms.coordinator_learns:
        check_single(tasks)
    least = sealed.terms.minimum_sites
    if len(sealed.confirmed) < least:
        raise NotEnoughParticipantsError(f"{len(sealed.confirmed)} sites confirmed the roster, {least} are needed")
    tables = RunTables(journal.connection, run)
    record = _begun(tables, tasks, run, sealed)
    receipt = ReceiptLog(journal.connection, run)
    receipt.begin(sealed.roster, sealed.project.terms)
    await _enter_state(relay, sealed.project.id, run)
    pace = Pace(config.step_s, config.grace_s, config.epoch_s)
    cast = Cast(sealed.roster, sealed.names)
    driver = Driver(run, cast, identity, journal, relay, pace, show, config.recover)
    await driver.resume()
    secure_sum = RunSum(driver, tables, sealed, config.rounds, record.value_bits)
    try:
        results = tuple([await result_of(task, secure_sum) for task in tasks])
    except SecaggError as error:
        await relay.change_run(run, RunState.RUNNING, RunState.FAILED, str(error)[:200])
        tables.end("failed", time.time(), str(error))
        await conclude(receipt, f"failed: {error}", run, identity, relay)
        raise
    await relay.change_run(run, RunState.RUNNING, RunState.COMPLETED)
    tables.end("completed", time.time())
    await conclude(receipt, "completed", run, identity, relay)
    answers = tuple((Query.decode(query), answer) for query, answer in tables.answers())
    return Report(results, answers, dict(driver.bytes_heard))


def _begun(tables: RunTables, tasks: tuple[TableSpec, ...], run: UUID, sealed: Sealed) -> RunRecord:
    """Note what the run is, or return what was noted when it began: what is asked follows from it to the bit."""
    record = RunRecord(
        run=run,
        project=sealed.project.id,
        name=sealed.project.name,
        terms=sealed.project.terms,
        tasks=tuple(task.model_dump(mode="json", exclude_none=True) for task in tasks),
        value_bits=value_bits_for(len(sealed.confirmed), _RING_BITS[sealed.terms.mode]),
        began=time.time(),
    )
    first = tables.begin(record)
    if (first.project, first.tasks) != (record.project, record.tasks):
        raise ParameterError(
            f"run {run} was begun with other tasks, or in another project; it goes on with its own alone"
        )
    return first


async def result_of(task: TableSpec, secure_sum: SecureSum) -> Result | Held:
    """Return what an analysis gives, or who holds it; raises as the analysis and the sum."""
    try:
        return await task.analyse(secure_sum)
    except HeldBySitesError as held:
        return Held(task.analysis, held.answer.round, held.answer.survivors)


def check_single(tasks: tuple[TableSpec, ...]) -> None:
    """Raise SpecError for an analysis of several sums, each asked for from the one before."""
    if beyond := sorted({task.analysis for task in tasks if not task.single_sum}):
        raise SpecError(
            f"the sites of this project keep its sums, and {', '.join(beyond)} goes from one sum to the next: it needs "
            "a project whose terms say publish = true, or mode masks"
        )


async def _enter_state(relay: RelayClient, project: UUID, run: UUID) -> None:
    """Create the run, or find it as a crash left it, and bring it to `running`."""
    state = (await relay.create_run(project, run, "analysis")).state
    for before, after in ((RunState.CREATED, RunState.PREPARING), (RunState.PREPARING, RunState.RUNNING)):
        if state is before:
            state = (await relay.change_run(run, before, after)).state

"""The secure sums of a run: from the journal if already known, otherwise from a round."""

from collections.abc import Callable

from coordinator.journal.records import RunRecord
from coordinator.journal.tables import ReleasedSum, RunTables
from coordinator.projects.projects import SealedProject
from coordinator.runs.driver import Driver
from participant.analyses.base.secure_sum import SecureSum, Sum, value_bits_for
from participant.statistics.evaluation.bound import BoundQuery, with_floors
from participant.statistics.evaluation.pooled import read
from secagg.errors import SecaggError
from secagg.messages import SUITES
from secagg.params import (
    LOSS_RULES,
    MAX_SITE_ROUNDS,
    PROFILES,
    Schema,
    mac_lanes_for,
    ring_bits_for,
)


class HeldBySitesError(SecaggError):
    """The sites opened a sum and keep it to themselves: the analysis ends here.

    Attributes:
        answer: round and sites of the sum.
    """

    def __init__(self, answer: ReleasedSum) -> None:
        self.answer = answer
        super().__init__(f"the sites hold the result of round {answer.round}: {', '.join(answer.survivors)}")


def value_bits_of(sealed: SealedProject) -> int:
    """Return how many bits a value may have so that the sum over all confirmed sites fits."""
    return value_bits_for(len(sealed.confirmed), sealed.terms.ring_bits)


class RunSum(SecureSum):
    """The secure sums of a run, which its analyses ask for.

    Args:
        driver: driver of the run.
        tables: answers that the run already has.
        sealed: project of the run.
        record: the run's entry in the journal.
        rounds: number of rounds an epoch prepares.
        before_round: function called before each round; raises if no further round may be opened.

    Attributes:
        value_bits: number of bits per value, which leaves room for the sum over all initial sites.
    """

    def __init__(
        self,
        driver: Driver,
        tables: RunTables,
        sealed: SealedProject,
        record: RunRecord,
        rounds: int,
        before_round: Callable[[], None],
    ) -> None:
        self._driver = driver
        self._tables = tables
        self._sealed = sealed
        self._record = record
        self._rounds = rounds
        self._before_round = before_round
        self._position = 0
        self.value_bits = record.value_bits

    async def __call__(self, query: BoundQuery) -> Sum:
        """Return the sum of a query: from the journal if it was learnt before a crash, otherwise from a round.

        Raises:
            HeldBySitesError: the sites have opened the sum, and the project's terms let them keep it.
        """
        query = with_floors(query, pooled=self._sealed.terms.pooled)
        self._sealed.terms.check(query.query)
        data = query.encode()
        answer = self._tables.answer(self._position, data)
        if answer is None:
            await self._ensure_epoch()
            self._before_round()
            learn = self._sealed.terms.coordinator_learns
            answer = await self._driver.ask(data, self._schema(query), self._position, learn=learn)
        self._position += 1
        if answer.total is None:
            raise HeldBySitesError(answer)
        return Sum(read(query, answer.total), answer.survivors)

    def _schema(self, query: BoundQuery) -> Schema:
        segments = query.segments
        parties = len(self._driver.left or ())
        bits = max(ring_bits_for(segment.levels, parties) for segment in segments)
        checked = self._sealed.terms.profile == "malicious" or self._sealed.terms.mode == "he"
        return Schema(ring_bits=bits, mac_lanes=mac_lanes_for(bits) if checked else 0, segments=segments)

    async def _ensure_epoch(self) -> None:
        """Prepare the next epoch once the last one's rounds are used up; lost sites stay out of this run."""
        if self._driver.rounds_left:
            return
        sites = self._driver.left or self._record.sites
        await self._driver.prepare(
            sites,
            rounds=min(self._rounds, MAX_SITE_ROUNDS // len(sites)),
            quorum=self._record.quorum,
            profile=PROFILES[self._sealed.terms.profile],
            loss_rule=LOSS_RULES[self._sealed.terms.loss_rule],
            suite=SUITES[self._sealed.terms.mode],
        )

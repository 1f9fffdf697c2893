"""Earlier runs: their results are recomputed from the sums in the journal, without asking any site."""

from collections.abc import Iterator

from coordinator.journal.records import RunRecord
from coordinator.journal.tables import ReleasedSum, RunTables
from coordinator.runs.lifecycle import RunOutcome, result_of
from coordinator.runs.secure_sum import HeldBySitesError
from participant.analyses.base.errors import AnalysisError
from participant.analyses.base.secure_sum import SecureSum, Sum
from participant.statistics.evaluation.bound import BoundQuery, with_floors
from participant.statistics.evaluation.pooled import read
from secagg.errors import SecaggError


class UnansweredError(SecaggError):
    """The run ended before this query was answered, or it asked a different query."""


async def recall(record: RunRecord, tables: RunTables) -> RunOutcome:
    """Return the outcome of a run; if it ended early, with the results and answers it had by then.

    Analyses are pure functions of the sums: the same sums give the same results, to the last bit.
    """
    kept = tables.answers()
    secure_sum = _KeptSum(record.value_bits, iter(kept))
    results = []
    for task in record.specs:
        try:
            results.append(await result_of(task, secure_sum, len(record.sites)))
        except (AnalysisError, UnansweredError):
            break
    answers = tuple((BoundQuery.decode(query), answer) for query, answer in kept)
    return RunOutcome(tuple(results), answers, {})


class _KeptSum(SecureSum):
    """The secure sums of a run that is over."""

    def __init__(self, value_bits: int, kept: Iterator[tuple[bytes, ReleasedSum]]) -> None:
        self.value_bits = value_bits
        self._kept = kept

    async def __call__(self, query: BoundQuery) -> Sum:
        asked, answer = next(self._kept, (b"", None))
        if asked:
            query = with_floors(query, pooled=BoundQuery.decode(asked).query.pooled)
        if answer is None or asked != query.encode():
            raise UnansweredError("the journal has no answer to this query")
        if answer.total is None:
            raise HeldBySitesError(answer)
        return Sum(read(query, answer.total), answer.survivors)

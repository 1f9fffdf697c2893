"""How many rounds, bytes and seconds does an analysis over nine sites cost?

Each analysis runs as in its first case in `tests/oracles`. Every round passes through the state machines of coordinator
and sites in this process, on one core: only the network is missing. Epochs prepare the coordinator's default number of
rounds, and their setup counts. The logistic regression has 20 coefficients and 9,000 rows; its time is reported only
after its result has been compared with statsmodels.
"""

import asyncio
from collections.abc import Mapping
from time import process_time

import numpy as np
import statsmodels.api as sm

from bench.measure import Row, in_words
from coordinator.session.config import CoordinatorConfig
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum, Sum, value_bits_for
from participant.analyses.base.spec import TableSpec
from participant.analyses.regression.glm import GlmResult, GlmSpec
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.evaluation.evaluate import evaluate
from participant.statistics.language.statistic import Columns
from participant.statistics.models.variables import Variable
from secagg.params import Profile, Schema, mac_lanes_for, ring_bits_for
from secagg.simulate import SimulatedCohort, on_complete_graph
from tests.oracles.case import all_cases
from tests.oracles.data import sites_of

SITES = 9
COVARIATES = tuple(f"x{i}" for i in range(1, 20))
TARGET_S = 20.0
ROUNDS: int = CoordinatorConfig.model_fields["rounds"].default


class ProtocolSum(SecureSum):
    """A secure sum computed by the protocol's state machines, one epoch after another."""

    def __init__(self, tables: Mapping[str, Columns]) -> None:
        self._tables = dict(sorted(tables.items()))
        self._cohorts: list[SimulatedCohort] = []
        self.value_bits = value_bits_for(len(tables))
        self.rounds = 0

    async def __call__(self, query: BoundQuery) -> Sum:
        vectors = np.array([evaluate(query, table) for table in self._tables.values()])
        if self.rounds % ROUNDS == 0:
            terms = on_complete_graph(len(vectors), Profile.MALICIOUS, None)
            self._cohorts.append(SimulatedCohort.of(len(vectors), Profile.MALICIOUS, terms, rounds=ROUNDS))
            self._cohorts[-1].set_up()
        self.rounds += 1
        segments = query.segments
        bits = max(ring_bits_for(segment.levels, len(vectors)) for segment in segments)
        schema = Schema(ring_bits=bits, mac_lanes=mac_lanes_for(bits), segments=segments)
        total, _, _ = self._cohorts[-1].round(query.encode(), vectors, schema, set(), set())
        return Sum(query.layout.unflatten(total), tuple(self._tables))

    @property
    def bytes_of_a_site(self) -> float:
        """Average number of bytes that a site sent."""
        return sum(sum(cohort.costs()[1]["participant"].values()) for cohort in self._cohorts)


def rows() -> list[Row]:
    first = {one.spec.analysis: one.spec for one in reversed(all_cases())}
    return [
        logistic(),
        *(
            carried_out(f"{name}, {spec.dataset}", spec, sites_of(spec.dataset, SITES))[0]
            for name, spec in first.items()
        ),
    ]


def carried_out(
    title: str, spec: TableSpec, tables: Mapping[str, Columns], least_s: float | None = None
) -> tuple[Row, AnalysisResult]:
    """Return the row of an analysis over these sites, with target time below `least_s`, and its result."""
    secure_sum = ProtocolSum(tables)
    start = process_time()
    result = asyncio.run(spec.analyse(secure_sum))
    seconds = process_time() - start
    row = Row(
        title,
        "" if least_s is None else f"< {least_s:g} s",
        f"{secure_sum.rounds} rounds, {secure_sum.bytes_of_a_site / 1e3:.0f} kB a site, {in_words(seconds)}",
        None if least_s is None else seconds < least_s,
        {"rounds": secure_sum.rounds, "bytes_of_a_site": secure_sum.bytes_of_a_site, "seconds": seconds},
    )
    return row, result


def logistic(patients: int = 1000) -> Row:
    """Fit 20 coefficients over this many synthetic patients per site."""
    noise = np.random.default_rng(20)  # noqa: TID251 - made-up patients
    x = noise.normal(size=(SITES, len(COVARIATES), patients))
    risk = 1 / (1 + np.exp(0.5 - np.linspace(-0.5, 0.5, len(COVARIATES)) @ x))
    y = (noise.random(risk.shape) < risk).astype(np.float64)
    tables = {f"site-{site}": {"ill": y[site], **dict(zip(COVARIATES, x[site], strict=True))} for site in range(SITES)}
    numbers = (
        *(Variable(column=name, low=-8, high=8) for name in COVARIATES),
        Variable(column="ill", low=0, high=1),
    )
    spec = GlmSpec(
        dataset="made-up",
        formula=f"ill ~ {' + '.join(COVARIATES)}",
        family="binomial",
        numbers=numbers,
        row_limit=2 * patients,
    )
    row, result = carried_out("logistic regression of 20 coefficients", spec, tables, TARGET_S)
    assert isinstance(result, GlmResult)
    pooled = sm.add_constant(np.concatenate(list(x), axis=1).T)
    oracle = sm.GLM(y.ravel(), pooled, sm.families.Binomial()).fit(tol=1e-14)
    np.testing.assert_allclose(result.coef, oracle.params, rtol=1e-6)
    np.testing.assert_allclose(result.se, oracle.bse, rtol=1e-6)
    return row

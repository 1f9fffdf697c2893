"""What does it cost a site to replay a run, compared with the run itself?

The demonstration runs as real processes. Then one site's plan control takes the same tasks' questions and sums,
through a ledger on disk, as a daemon does. The weights of a training come from a stand-in for the trainer: a site that
replays never trains.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from uuid import UUID

import numpy as np

from bench.measure import Row, in_words
from bench.workers.pipe import ROOT
from coordinator.demo.demonstrate import PLAN
from coordinator.demo.lung import lung_by_institution
from coordinator.projects.projects import read_terms
from participant.analyses.base.secure_sum import SecureSum, Sum
from participant.analyses.learning.federated_training import FederatedTrainingSpec
from participant.daemon.epoch import RunContext
from participant.daemon.plan_control import PlanControl
from participant.records.ledger import TABLES, Ledger
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.models.variables import Variable
from participant.study.plan import NamedSpec
from participant.study.replay import RunReplay
from participant.study.terms import ProjectTerms
from relay.party.journal import Journal
from tests.support.plain_sum import PlainSum

PROJECT, RUN = UUID(int=1), UUID(int=2)
WEIGHTS = (1_250, 2_500, 5_000, 10_000)
ROUNDS = 9

DEMO = [sys.executable, "-m", "coordinator", "demo", "--json"]


class _Run(SecureSum):
    """A run of made-up sums of a training: what it asked, with the answers."""

    def __init__(self) -> None:
        self.value_bits = 40
        self.asked: list[tuple[BoundQuery, Sum]] = []
        self._draw = np.random.default_rng(1)  # noqa: TID251 - made-up sums

    async def __call__(self, query: BoundQuery) -> Sum:
        values = {block.name: np.zeros(block.shape) for block in query.layout.blocks}
        values |= {
            "rows": np.array(400.0),
            "loss": np.array(200.0),
            "update": self._draw.normal(size=values["update"].shape),
        }
        answer = Sum(values, ("a", "b", "c"))
        self.asked.append((query, answer))
        return answer


class _Recorded(PlainSum):
    """The sums of the demonstration's sites."""

    def __init__(self) -> None:
        super().__init__(lung_by_institution(), quantised=True)
        self.asked: list[tuple[BoundQuery, Sum]] = []

    async def __call__(self, query: BoundQuery) -> Sum:
        answer = await super().__call__(query)
        self.asked.append((query, answer))
        return answer


def rows() -> list[Row]:
    return [asyncio.run(_demo()), *_training()]


async def _demo() -> Row:
    """Compare a site's replay of the demonstration's runs with the wall time of these runs."""
    with TemporaryDirectory() as out:
        made = await asyncio.create_subprocess_exec(*DEMO, "--out", out, cwd=ROOT, stdout=subprocess.PIPE)
        said, _ = await made.communicate()
    run_s: float = json.loads(said)["run_seconds"]
    terms, run = read_terms(PLAN), _Recorded()
    for _, spec in terms.plan.specs(terms.dataset) if terms.plan else ():
        await spec.analyse(run)
    taken = await _replayed(terms, run)
    share = taken / run_s
    return Row(
        f"a site's replay of the demonstration, {len(run.asked)} questions",
        "<= 5 % of the run's wall time",
        f"{share:.1%} ({in_words(taken)} of {in_words(run_s)})",
        share <= 0.05,
        {"replay_s": taken, "run_s": run_s},
    )


async def _replayed(terms: ProjectTerms, run: _Recorded) -> float:
    """Return the wall time in which a site's plan control follows a run, including decoding and the ledger."""
    context, taken = RunContext(RUN, PROJECT, bytes(32), terms, len(run.tables)), 0.0
    with TemporaryDirectory() as folder:
        journal = Journal(Path(folder), TABLES)
        ledger = Ledger(journal.connection)
        control = PlanControl(ledger)
        for round_, (query, answer) in enumerate(run.asked, start=1):
            data, named = query.encode(), {"project": str(PROJECT), "run": str(RUN), "round": round_, "at": 0.0}
            start = perf_counter()
            task = await control.task(BoundQuery.decode(data), context)
            taken += perf_counter() - start
            assert task is not None
            with journal.transaction():
                use = {"names": task.names, "number": task.number}
                ledger.enter({"what": "upload", "query": query.query.model_dump(mode="json"), "task": use, **named})
                ledger.enter({"what": "survivors", "sites": list(answer.sites), **named})
                total = query.layout.flatten(answer.values).astype("<f8").tobytes()
                ledger.keep_result(RUN, round_, (1, 2, 3), total, b"")
        journal.close()
    return taken


def _training() -> list[Row]:
    """Time the replay of a round of training per weight, up to the most weights that a query carries."""
    seconds = {weights: _round_of_training(weights) for weights in WEIGHTS}
    few, many = (seconds[weights] / weights for weights in (WEIGHTS[0], WEIGHTS[-1]))
    words = ", ".join(f"{in_words(taken)} for {weights:,}" for weights, taken in seconds.items())
    return [
        Row(
            f"replay of a round of training, {WEIGHTS[-1]:,} weights compared with {WEIGHTS[0]:,}",
            "<= 1.5 x the time per weight",
            f"{many / few:.2f} x ({words})",
            many <= 1.5 * few,
            {str(weights): taken for weights, taken in seconds.items()},
        )
    ]


def _round_of_training(weights: int) -> float:
    spec = FederatedTrainingSpec(
        dataset="lung",
        row_limit=1000,
        minimum_persons=5,
        formula="status ~ age",
        numbers=(Variable(column="age", low=18, high=100), Variable(column="status", low=0, high=1)),
        trainer="torch-mlp",
        settings={},
        rounds=ROUNDS,
        size=weights,
    )
    run = _Run()
    asyncio.run(spec.analyse(run))
    replay, taken = RunReplay([NamedSpec("training", spec)], {run.value_bits}), []
    for query, answer in run.asked:
        data = query.encode()
        start = process_time()
        asked = BoundQuery.decode(data)
        assert replay.follows(asked, lambda _name, _number: True) is not None
        replay.observe(asked, answer.values, answer.sites)
        taken.append(process_time() - start)
    return float(np.median(taken[1:]))

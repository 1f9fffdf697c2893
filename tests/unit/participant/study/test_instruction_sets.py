"""Replay across processors: a coordinator without vector instructions, and with another linear-algebra kernel."""

import json
import os
import subprocess
import sys

import numpy as np

from participant.statistics.evaluation.bound import BoundQuery
from participant.study.plan import NamedSpec
from participant.study.replay import RunReplay
from tests.support.plain_sum import PlainSum
from tests.unit.participant.study.test_replay import ITERATIVE, SITES, always, spec_of

OLD = {
    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL",
    "OPENBLAS_CORETYPE": "Prescott",
    "PYTHONWARNINGS": "ignore",  # where a processor lacks a feature anyway
}


def test_what_an_old_processor_asks_follows_on_this_one() -> None:
    command = [sys.executable, "-m", "tests.support.asked", *ITERATIVE]
    made = subprocess.run(command, env={**os.environ, **OLD}, capture_output=True, text=True, check=True)
    for analysis, answers in json.loads(made.stdout).items():
        replay = RunReplay([NamedSpec("task", spec_of(analysis))], {PlainSum(SITES).value_bits})
        for place, (asked, total, sites) in enumerate(answers):
            query = BoundQuery.decode(asked.encode())
            assert replay.follows(query, always) is not None, (analysis, place)
            replay.observe(query, query.layout.unflatten(np.array(total)), tuple(sites))

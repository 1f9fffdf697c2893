"""Prints the queries that analyses ask on this machine, as JSON: `python -m tests.support.asked ANALYSIS...`."""

import asyncio
import json
import sys
from contextlib import suppress

from participant.analyses.base.errors import AnalysisError
from participant.analyses.catalogue import parse_spec
from tests.unit.participant.analyses.test_examples import EXAMPLES
from tests.unit.participant.study.test_replay import Recorded


def main(analyses: list[str]) -> None:
    """Print each query with its sum and sites, by analysis."""
    found = {}
    for example in EXAMPLES:
        if example["analysis"] in analyses:
            run = Recorded()
            with suppress(AnalysisError):
                asyncio.run(parse_spec(example).analyse(run))
            found[example["analysis"]] = [
                (query.encode().decode(), query.layout.flatten(sums.values).tolist(), sums.sites)
                for query, sums in run.answers
            ]
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])

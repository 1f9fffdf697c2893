"""Cohorts behind a hostile relay for any length of time: python -m tests.machine.soak --minutes 60 [--seed S].

Every storm's seed is one more than the last; after a failure, `--seed` with the last printed seed repeats it.
"""

import argparse
import secrets
import time
from itertools import count, cycle

from tests.machine.test_cohort import STARTS, storm


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.machine.soak", description="Cohorts behind a hostile relay, for a time."
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=secrets.randbits(31), help="of the first storm")
    options = parser.parse_args()
    until, steps, sums = time.monotonic() + 60 * options.minutes, 0, 0
    for number, start in zip(count(options.seed), cycle(STARTS), strict=False):
        cohort = storm(start, number)
        steps, sums = steps + cohort.steps, sums + cohort.sums
        print(f"{steps:,} steps, {sums:,} sums", flush=True)
        if time.monotonic() > until:
            return


if __name__ == "__main__":
    main()

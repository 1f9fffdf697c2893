"""Fuzz the core for a given time: python -m tests.fuzz --seconds 60 [--seed S] [--case N]."""

import argparse
import os
import resource
import sys
import time
import traceback
import warnings
from collections import Counter

from tests.fuzz.targets import corpus, run_case

SPARE_MIB = 64


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Any bytes: a new state or a ProtocolError."
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"), help="decides every case")
    parser.add_argument("--case", type=int, help="run this case alone, to see a failure again")
    options = parser.parse_args()
    warnings.simplefilter("error")
    corpus()
    if options.case is not None:
        print(run_case(options.seed, options.case))
        return 0
    start, outcomes, number = memory(), Counter(), 0
    until = time.monotonic() + options.seconds
    while time.monotonic() < until:
        try:
            outcomes[run_case(options.seed, number)] += 1
        except Exception:  # noqa: BLE001 whatever it is, it is what we look for
            traceback.print_exc()
            print(f"again: python -m tests.fuzz --seed {options.seed} --case {number}", file=sys.stderr)
            return 1
        number += 1
    for (target, outcome), count in sorted(outcomes.items()):
        print(f"{target:8} {outcome:10} {count:8}")
    more = memory() - start
    print(f"{number} cases, seed {options.seed}, {more} MiB more memory at most")
    if more > SPARE_MIB:
        print(f"more than {SPARE_MIB} MiB above the start", file=sys.stderr)
        return 1
    return 0


def memory() -> int:
    """Return the most memory that this process ever used, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    sys.exit(main())

"""Timing: repetitions of all candidates in turn, so that a busy moment hits them alike, and the median of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: what was to be reached and what was.

    Attributes:
        target: in words, such as ``>= 2.5 x OpenSSL``; empty where there is none.
        measured: in words, with its unit.
        met: whether the target was reached, or None where there is none.
    """

    name: str
    target: str
    measured: str
    met: bool | None

    def as_facts(self) -> dict[str, Any]:
        return {"name": self.name, "target": self.target, "measured": self.measured, "met": self.met}


def interleaved(candidates: Mapping[str, Callable[[], object]], *, repetitions: int, warm: int = 1) -> dict[str, float]:
    """Return the median seconds of each candidate; all are run once in every repetition, in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for repetition in range(warm + repetitions):
        for name, work in candidates.items():
            start = perf_counter()
            work()
            taken = perf_counter() - start
            if repetition >= warm:
                seconds[name].append(taken)
    return {name: median(taken) for name, taken in seconds.items()}

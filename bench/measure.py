"""Timing: candidates are repeated in turn, so that a busy moment hits all alike; the median of each counts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter, process_time
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: the target and the measured value.

    Attributes:
        target: target in words, such as ``>= 2.5 x OpenSSL``, or empty if there is none.
        measured: measured value in words, with its unit.
        met: whether the target was reached, or None if there is none.
        figures: the numbers behind the words, for the history and the plot.
    """

    name: str
    target: str
    measured: str
    met: bool | None
    figures: Mapping[str, Any] = field(default_factory=dict)

    def as_facts(self) -> dict[str, Any]:
        return {"name": self.name, "target": self.target, "measured": self.measured, "met": self.met}


def interleaved(candidates: Mapping[str, Callable[[], object]], *, repetitions: int, warm: int = 1) -> dict[str, float]:
    """Return the median seconds of each candidate; each repetition runs every candidate once, in turn."""
    clocked = {name: lambda work=work: seconds_of(work) for name, work in candidates.items()}
    return in_turn(clocked, repetitions=repetitions, warm=warm)


def in_turn(candidates: Mapping[str, Callable[[], float]], *, repetitions: int, warm: int = 1) -> dict[str, float]:
    """Return the median of each candidate's return values, such as seconds measured by another process."""
    seen: dict[str, list[float]] = {name: [] for name in candidates}
    for repetition in range(warm + repetitions):
        for name, measure in candidates.items():
            value = measure()
            if repetition >= warm:
                seen[name].append(value)
    return {name: median(values) for name, values in seen.items()}


def seconds_of(work: Callable[[], object]) -> float:
    """Return the CPU seconds that `work` took in this process, over all threads; other load does not count."""
    start = process_time()
    work()
    return process_time() - start


def waited_for(work: Callable[[], object]) -> float:
    """Return the wall-clock seconds that `work` took."""
    start = perf_counter()
    work()
    return perf_counter() - start


def in_words(seconds: float) -> str:
    """Return a time in the unit that reads best."""
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}" if seconds * factor < 1000 else f"{seconds * factor:.0f} {unit}"
    return f"{seconds * 1e6:.3g} us"


def against(name: str, theirs: str, ours_s: float, theirs_s: float, *, least: float | None = None) -> Row:
    """Return the row of a comparison: how many times faster ours is."""
    ratio = theirs_s / ours_s
    return Row(
        name,
        "" if least is None else f">= {least:g} x faster than {theirs}",
        f"{ratio:.1f} x (ours {in_words(ours_s)}, {theirs} {in_words(theirs_s)})",
        None if least is None else ratio >= least,
        {"ours_s": ours_s, "theirs_s": theirs_s, "ratio": ratio},
    )

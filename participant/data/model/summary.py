"""The summary that a command gives of a successful import."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from participant.data.model.description import Description


class LeftOut(NamedTuple):
    """A step that leaves persons out of a cohort: its words, how many it leaves out, and how many remain."""

    words: str
    persons: int
    remaining: int


class ImportSummary(NamedTuple):
    """The outcome of an import.

    Attributes:
        description: description of the new version.
        folder: folder with its report.
        seconds: duration of each step.
        read, bad, repeated: number of rows read, left out as bad, and left out as repeating another.
        attrition: steps that left persons out of a cohort, from all persons on; empty for a table.
    """

    description: Description
    folder: Path
    seconds: Mapping[str, float]
    read: int
    bad: int
    repeated: int
    attrition: Sequence[LeftOut] = ()

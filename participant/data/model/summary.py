"""The summary that a command gives of a successful import."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from participant.data.model.description import Description


class ImportSummary(NamedTuple):
    """The outcome of an import.

    Attributes:
        description: description of the new version.
        folder: folder with its report.
        seconds: duration of each step.
        read, bad, repeated: number of rows read, left out as bad, and left out as repeating another.
    """

    description: Description
    folder: Path
    seconds: Mapping[str, float]
    read: int
    bad: int
    repeated: int

"""What a command tells about an import that went well."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from participant.data.model.description import Description


class ImportSummary(NamedTuple):
    """What came of an import.

    Attributes:
        description: of the new version.
        folder: with its report.
        seconds: by step.
        read, bad, repeated: rows that were read, and left out as bad or as repeating another.
    """

    description: Description
    folder: Path
    seconds: Mapping[str, float]
    read: int
    bad: int
    repeated: int

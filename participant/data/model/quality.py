"""The quality of an import in figures: `quality.json` beside the data, for programs and monitoring. It holds no value.

completeness   share of the stored cells that hold a value
validity       share of the rows read that are not bad
uniqueness     share of the rows read that repeat no earlier row
"""

from pydantic import Field

from participant.statistics.language.query import Name, Strict

NAME = "quality.json"


class Quality(Strict):
    """The figures of one import.

    Attributes:
        read, stored, bad: number of rows read, stored, and left out as bad.
        repeated: number of rows left out because they repeat another.
        same: number of rows, kept, equal to an earlier one in every cell.
        missing: number of missing values, by column.
        seconds: duration of each step.
    """

    read: int = Field(ge=0)
    stored: int = Field(ge=0)
    bad: int = Field(ge=0)
    repeated: int = Field(ge=0)
    same: int = Field(ge=0)
    missing: dict[Name, int]
    seconds: dict[str, float]

    @property
    def completeness(self) -> float:
        return 1 - sum(self.missing.values()) / max(self.stored * len(self.missing), 1)

    @property
    def validity(self) -> float:
        return 1 - self.bad / max(self.read, 1)

    @property
    def uniqueness(self) -> float:
        return 1 - (self.repeated + self.same) / max(self.read, 1)

    @property
    def shares(self) -> dict[str, float]:
        """The three shares by name, rounded for reading."""
        return {name: round(getattr(self, name), 6) for name in ("completeness", "validity", "uniqueness")}

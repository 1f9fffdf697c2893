"""What the statements of a cohort read, whatever database it comes from. Days are numbers from 1970-01-01 on."""

from typing import Any, Protocol

from sqlalchemy import Select

from participant.data.cohort.language import RecordKind

FEMALE, MALE = 0, 1
BELOW, EXACT, ABOVE = -1, 0, 1

Relation = Select[Any]


class Relations(Protocol):
    """Relations of clinical data."""

    undated_deaths: bool
    """Whether a death may lack its day."""

    def persons(self) -> Relation:
        """Return person, born (YYYYMMDD; a missing month is July, a missing day the 15th, or the 1st of July), sex."""

    def periods(self) -> Relation:
        """Return person, first and last day of each period of observation."""

    def deaths(self) -> Relation:
        """Return person and day of each record of a death."""

    def records(self, event: RecordKind, concepts: str) -> Relation:
        """Return person and day of the records of a kind with a concept of a set.

        Records of a measured kind also have value, unit (UCUM code, or words in brackets), and mark (`BELOW`, `EXACT`
        or `ABOVE`).
        """

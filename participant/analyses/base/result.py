"""The result of every analysis: plain numbers, the sites that contributed to them, and text for people.

A result defines its own contents (`title`, `facts`, `table`, `formats`, `notes`, `drawn`) and inherits its summary for
terminals, its notebook view and its data frame. It imports no plotting library: `coordinator.report.plots` draws the
figures of results.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any, ClassVar

from participant.analyses.base.summary import Summary, fact
from secagg.errors import ParameterError

if TYPE_CHECKING:
    import pandas as pd


_NO_NUMBER = re.compile(r"\bnan\b|not reached")


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Whom a result covers.

    Attributes:
        persons, of_persons: persons in the sums, and persons asked for at sites with at least the floor of them; None
            without a floor, where nobody is hidden.
        sites, of_sites: sites in the sums, and sites that the run began with.
        allowed: share of the persons that may be missing before tests, intervals, areas and curves are left out.
    """

    persons: int | None
    of_persons: int | None
    sites: int
    of_sites: int
    allowed: float = 0.0

    @property
    def missing_share(self) -> float:
        return 1 - self.persons / self.of_persons if self.of_persons and self.persons is not None else 0.0

    @property
    def is_enough(self) -> bool:
        """Whether few enough persons are missing for tests, intervals, areas and curves."""
        return self.missing_share <= self.allowed

    def sentence(self) -> str:
        """Return what is missing, why, what follows, and what to do."""
        return (
            f"{self.missing_share:.1%} of the persons are missing, more than the {self.allowed:.0%} that may be: "
            "groups below the floor are hidden, and others with them. Therefore no tests, intervals, areas or curves "
            "are shown, and the estimates describe only the persons in the sums. Merge levels, widen bins or "
            "intervals, leave out covariates that few persons have, or agree on floors for all sites together (mode "
            'he, with floors = "pooled")'
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnalysisResult(ABC):
    """Base class of all results, which are frozen dataclasses.

    Attributes:
        analysis: name of the analysis, as in its specification.
        formats: columns of the summary's table, each with its format (see `text_table`); empty if the table is too long
            to read.
        drawn: column that a figure shows for each row, between `lower` and `upper`; "" for none.
        sites: names of the contributing sites, sorted.
        warnings: caveats for the reader of the result.
        coverage: whom the result covers; None if nobody kept account.
    """

    analysis: ClassVar[str]
    formats: ClassVar[Mapping[str, str]] = {}
    drawn: ClassVar[str] = ""
    sites: tuple[str, ...]
    warnings: tuple[str, ...]
    coverage: Coverage | None = None

    @property
    def is_lacking(self) -> bool:
        """Whether too many persons are missing for tests, intervals, areas and curves."""
        return self.coverage is not None and not self.coverage.is_enough

    @abstractmethod
    def table(self) -> list[dict[str, Any]]:
        """Return the result's main table, one dict for each row, as plain numbers and text."""

    @property
    def title(self) -> str:
        """A one-line description of the result."""
        return self.analysis

    def facts(self) -> dict[str, Any]:
        """Return the numbers and text above the table, by name."""
        return {}

    def notes(self) -> list[str]:
        """Return the lines below the table."""
        return []

    def summary(self) -> str:
        """Return the result, warnings included, as text for a terminal."""
        return self._summary().text()

    def _repr_html_(self) -> str:
        """Return the result for a notebook."""
        return self._summary().html()

    def to_frame(self) -> "pd.DataFrame":
        """Return the main table as a pandas data frame; a column `name` becomes its index.

        Raises:
            ParameterError: pandas is not installed.
        """
        try:
            import pandas as pd  # noqa: PLC0415  # an extra
        except ImportError:
            raise ParameterError("data frames need pandas; run: pip install 'secagg[notebook]'") from None
        frame = pd.DataFrame(self.table())
        return frame.set_index("name") if "name" in frame else frame

    def _summary(self) -> Summary:
        facts, notes = {**self.facts(), "Sites": len(self.sites)}, self.notes()
        if self.coverage is not None:
            facts["Sites"] = f"{self.coverage.sites} of {self.coverage.of_sites}"
            if self.coverage.of_persons is not None:
                facts["Persons"] = f"{self.coverage.persons} of {self.coverage.of_persons}"
        rows = self.table()
        if self.is_lacking:
            facts = {name: value for name, value in facts.items() if not _NO_NUMBER.search(fact(value))}
            notes = [note for note in notes if not _NO_NUMBER.search(note)]
            rows = [{name: _known(value) for name, value in row.items()} for row in rows]
        return Summary(self.title, facts, rows, self.formats, notes, self.warnings)


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and isnan(value) else value

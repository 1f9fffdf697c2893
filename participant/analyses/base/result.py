"""What every analysis gives: plain numbers, whose they are, and words for people.

A result says what is its own (`title`, `facts`, `table`, `formats`, `notes`, `drawn`) and has from here its summary for
terminals, its view in notebooks and its data frame. It imports no drawing: `coordinator.report.plots` draws what a
result hands out.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from participant.analyses.base.summary import Summary
from secagg.errors import ParameterError

if TYPE_CHECKING:
    import pandas as pd


class AnalysisResult(ABC):
    """Base of the results, which are frozen dataclasses.

    Attributes:
        analysis: name of the analysis, as its specification says it.
        formats: columns of the table that the summary shows, each with its format (see `text_table`); none for a table
            that is too long to be read.
        drawn: column of the table that a figure shows for each row, between `lower` and `upper`; "" for none.
        sites: names of the sites whose rows are in the result, sorted.
        warnings: what a reader of the result should know.
    """

    __slots__ = ()

    analysis: ClassVar[str]
    formats: ClassVar[Mapping[str, str]] = {}
    drawn: ClassVar[str] = ""
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    @abstractmethod
    def table(self) -> list[dict[str, Any]]:
        """Return the result's main table, a dict for each row, of plain numbers and words."""

    @property
    def title(self) -> str:
        """What it is, in one line."""
        return self.analysis

    def facts(self) -> dict[str, Any]:
        """Return the numbers and words that stand above the table, by their names."""
        return {}

    def notes(self) -> list[str]:
        """Return lines that stand below the table."""
        return []

    def summary(self) -> str:
        """Return the result as text for a terminal, warnings included."""
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
            raise ParameterError("data frames need pandas: pip install 'secagg[notebook]'") from None
        frame = pd.DataFrame(self.table())
        return frame.set_index("name") if "name" in frame else frame

    def _summary(self) -> Summary:
        facts = {**self.facts(), "Sites": len(self.sites)}
        return Summary(self.title, facts, self.table(), self.formats, self.notes(), self.warnings)

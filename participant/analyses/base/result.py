"""The result of every analysis: plain numbers, the sites that contributed to them, and text for people.

A result defines its own contents (`title`, `facts`, `table`, `formats`, `notes`, `drawn`) and inherits its summary for
terminals, its notebook view and its data frame. It imports no plotting library: `coordinator.report.plots` draws the
figures of results.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from participant.analyses.base.summary import Summary
from secagg.errors import ParameterError

if TYPE_CHECKING:
    import pandas as pd


class AnalysisResult(ABC):
    """Base class of all results, which are frozen dataclasses.

    Attributes:
        analysis: name of the analysis, as in its specification.
        formats: columns of the summary's table, each with its format (see `text_table`); empty if the table is too long
            to read.
        drawn: column that a figure shows for each row, between `lower` and `upper`; "" for none.
        sites: names of the contributing sites, sorted.
        warnings: caveats for the reader of the result.
    """

    __slots__ = ()

    analysis: ClassVar[str]
    formats: ClassVar[Mapping[str, str]] = {}
    drawn: ClassVar[str] = ""
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

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
        facts = {**self.facts(), "Sites": len(self.sites)}
        return Summary(self.title, facts, self.table(), self.formats, self.notes(), self.warnings)

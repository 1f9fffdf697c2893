"""What every analysis gives: plain numbers, whose they are, and words for people."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar


class Result(ABC):
    """Base of the results, which are frozen dataclasses.

    Attributes:
        analysis: name of the analysis, as its specification says it.
        sites: names of the sites whose rows are in the result, sorted.
        warnings: what a reader of the result should know.
    """

    __slots__ = ()

    analysis: ClassVar[str]
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    @abstractmethod
    def table(self) -> list[dict[str, Any]]:
        """Return the result's main table, a dict for each row, of plain numbers and words."""

    @abstractmethod
    def summary(self) -> str:
        """Return the result as text for a terminal, warnings included."""

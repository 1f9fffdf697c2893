"""Reasons why an analysis has no result: one error per situation, whose message tells the analyst how to proceed."""

from collections.abc import Iterable

from pydantic import ValidationError

from secagg.errors import ParameterError, SecaggError


class SpecError(ParameterError):
    """The specification of an analysis is incomplete or contradicts itself."""


class AnalysisError(SecaggError):
    """The sites' data or the course of the run do not allow a result."""


class NoRowsError(AnalysisError):
    """No row at any site is complete and meets the filter."""


class NoEventsError(AnalysisError):
    """No site has an event on the grid."""


class CodingError(AnalysisError):
    """Some site does not code the outcome as agreed: negative times, or binary outcomes other than 0 and 1."""


class CohortError(AnalysisError):
    """A sum covers a site that an earlier sum did not; within a run, a cohort may only shrink."""


class EmptyClusterError(AnalysisError):
    """There are fewer clusters of rows than requested."""


class EquationError(AnalysisError):
    """The imputation model of a column cannot be fitted, so its missing values cannot be imputed."""


class FoldError(AnalysisError):
    """A fold of a cross-validation cannot be fitted or assessed."""


class PrecisionError(AnalysisError):
    """The sums are too coarse for the fit."""


class ConvergenceError(AnalysisError):
    """The fit did not converge."""


class ColumnsError(AnalysisError):
    """Some columns prevent the fit.

    Attributes:
        columns: names of these columns.
    """

    def __init__(self, columns: Iterable[str], complaint: str) -> None:
        self.columns = tuple(columns)
        super().__init__(f"{', '.join(self.columns)}: {complaint}")


class CollinearityError(ColumnsError):
    """The columns are constant or collinear."""


class SeparationError(ColumnsError, ConvergenceError):
    """The columns separate the events: the likelihood rises without bound, and there is no finite estimate."""


def too_coarse(what: str) -> PrecisionError:
    """Return the error for sums that are too coarse, with advice."""
    return PrecisionError(f"{what}; use more value_bits, a smaller row_limit or narrower declared ranges")


def beyond_ranges(error: ValidationError) -> SpecError:
    """Return the error for a model whose parameters no query can hold, in pydantic's words but not its layout."""
    complaints = (item["msg"].removeprefix("Value error, ") for item in error.errors(include_url=False))
    return SpecError(f"the model does not fit the declared ranges: {'; '.join(complaints)}")

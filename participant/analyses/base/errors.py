"""Why an analysis has no result: each error is one situation, with a message that tells the analyst how to proceed."""

from collections.abc import Iterable

from secagg.errors import ParameterError, SecaggError


class SpecError(ParameterError):
    """The specification of an analysis is incomplete or contradicts itself."""


class AnalysisError(SecaggError):
    """The sites' data, or the course of the run, allow no result."""


class NoRowsError(AnalysisError):
    """Across all sites, no row meets the filter and is complete."""


class NoEventsError(AnalysisError):
    """Across all sites, no event lies on the grid."""


class CodingError(AnalysisError):
    """Some site codes the outcome differently from the agreement: negative times, or event codes other than 0 and 1."""


class CohortError(AnalysisError):
    """A sum covers a site that an earlier one did not; within a run, a cohort may only shrink."""


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

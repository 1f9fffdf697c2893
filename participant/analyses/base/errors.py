"""Why an analysis gives no answer: each error is a situation, in words that help the analyst on."""

from collections.abc import Iterable

from secagg.errors import ParameterError, SecaggError


class SpecError(ParameterError):
    """The specification of an analysis is incomplete or contradicts itself."""


class AnalysisError(SecaggError):
    """The data of the sites, or what became of the run, gives no answer."""


class NoRowsError(AnalysisError):
    """No row over all sites meets the filter and is complete."""


class NoEventsError(AnalysisError):
    """No event over all sites lies on the grid."""


class CodingError(AnalysisError):
    """The outcome is not coded as agreed at some site: negative times, or event codes other than 0 and 1."""


class CohortError(AnalysisError):
    """A later sum is over sites that an earlier one was not over; within a run a cohort only shrinks."""


class EmptyClusterError(AnalysisError):
    """There are fewer groups of rows than were asked for."""


class EquationError(AnalysisError):
    """The equation of a column cannot be fitted, so its gaps cannot be filled."""


class FoldError(AnalysisError):
    """A fold of a cross-validation cannot be fitted or assessed."""


class PrecisionError(AnalysisError):
    """The sums are too coarse for the fit."""


class ConvergenceError(AnalysisError):
    """The fit did not converge."""


class ColumnsError(AnalysisError):
    """The fit fails because of some columns.

    Attributes:
        columns: their names.
    """

    def __init__(self, columns: Iterable[str], complaint: str) -> None:
        self.columns = tuple(columns)
        super().__init__(f"{', '.join(self.columns)}: {complaint}")


class CollinearityError(ColumnsError):
    """The columns do not vary, or not independently of each other."""


class SeparationError(ColumnsError, ConvergenceError):
    """The columns separate the events: the likelihood rises for ever, and there is no finite estimate."""


def too_coarse(what: str) -> PrecisionError:
    """Return the error for sums that are too coarse, with what helps."""
    return PrecisionError(f"{what}; more value_bits, a smaller row_limit or narrower declared ranges make sums finer")

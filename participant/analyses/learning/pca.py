"""Principal components of the rows of all sites, from their Gram matrix alone.

The components are the eigenvectors of the pooled covariance matrix (divisor n - 1) or, by default, of the pooled
correlation matrix, which treats all units alike; their variances are the eigenvalues, largest first. The sign of a
component makes its largest loading positive, as in scikit-learn. With x centred at the mean, and divided by the
standard deviation for the correlation matrix, a row's score is loadings . x; scores belong to single patients and stay
at the sites.

One round (three if ranges must be found); nothing iterates. Disclosure: that of
`participant.statistics.vocabulary.gram`.

A worked example: two variables with correlation r have the components (1, 1) / sqrt 2 with variance 1 + |r| and, for
r > 0, (1, -1) / sqrt 2 with variance 1 - r.

    analysis = "pca"
    dataset = "lung"
    variables = [
        {column = "age", low = 18, high = 100},
        {column = "ph.karno", low = 0, high = 100},
        {column = "wt.loss", low = -50, high = 100},
    ]
    row_limit = 1000

Source: Jolliffe 2002, "Principal Component Analysis", chapters 2 and 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator, Field

from participant.analyses.base.errors import NoRowsError
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum
from participant.analyses.base.spec import TableSpec
from participant.analyses.sums.second_moments import second_moments
from participant.statistics.language.layout import Array
from participant.statistics.models.design import Design, Numeric
from participant.statistics.models.variables import Variable, distinct

MAX_VARIABLES = 255
CLOSE = 1e-6  # share of the largest variance; components with closer variances have no well-defined directions


class PcaSpec(TableSpec):
    """Variables to reduce.

    Attributes:
        variables: columns with their declared ranges; values outside are clipped and counted.
        standardise: whether to divide by the standard deviations, which yields the correlation matrix.
    """

    analysis: Literal["pca"] = "pca"
    variables: Annotated[tuple[Variable, ...], Field(min_length=2, max_length=MAX_VARIABLES), AfterValidator(distinct)]
    standardise: bool = True

    async def analyse(self, secure_sum: SecureSum) -> "PcaResult":
        """Run the analysis; raises the same errors as `principal_components`."""
        return await principal_components(self, secure_sum)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PcaResult(AnalysisResult):
    """The p components, largest variance first.

    Attributes:
        names: names of the variables.
        mean, sd: (p,) means and standard deviations (divisor n - 1) of the variables.
        variance, ratio: (p,) variances of the components, and their shares of the total.
        loadings: (p, p) loadings, one row of length 1 for each component.
        standardised: whether the variables were divided by `sd`.
        rows: number of rows across all sites.
        sites: names of the contributing sites.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "pca"
    formats: ClassVar[Mapping[str, str]] = {
        "name": "",
        "variance": ".6g",
        "ratio": ".4f",
        "cumulative": ".4f",
        "led_by": "",
    }

    names: tuple[str, ...]
    mean: Array
    sd: Array
    variance: Array
    ratio: Array
    loadings: Array
    standardised: bool
    rows: int
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each component: its variance, its loadings by variable, and its two leading variables."""
        return [
            {
                "name": f"PC{i + 1}",
                "variance": float(self.variance[i]),
                "ratio": float(self.ratio[i]),
                "cumulative": float(self.ratio[: i + 1].sum()),
                "led_by": self._leaders(loadings),
                **{name: float(loading) for name, loading in zip(self.names, loadings, strict=True)},
            }
            for i, loadings in enumerate(self.loadings)
        ]

    @property
    def title(self) -> str:
        return f"Principal components of the {'correlation' if self.standardised else 'covariance'} matrix"

    def facts(self) -> dict[str, Any]:
        return {"Rows": self.rows, "Variables": len(self.names)}

    def _leaders(self, loadings: Array) -> str:
        leading = np.argsort(-np.abs(loadings), kind="stable")[:2]
        return ", ".join(f"{loadings[j]:+.2f} {self.names[j]}" for j in leading)


async def principal_components(spec: PcaSpec, secure_sum: SecureSum) -> PcaResult:
    """Return the components that `spec` describes.

    Raises:
        NoRowsError: fewer than two rows across all sites meet the filter and have all values.
        CollinearityError: a variable has the same value in all rows.
        PrecisionError: the sums are too coarse; the message says what helps.
    """
    design = Design(terms=tuple((Numeric(**variable.model_dump()),) for variable in spec.variables))
    moments = await second_moments(spec, design, secure_sum)
    if moments.rows < 2:
        raise NoRowsError("principal components need at least two rows across all sites")
    covariance = moments.cross / (moments.rows - 1)
    sd = np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(sd, sd) if spec.standardise else covariance)
    variance, loadings = np.maximum(values[::-1], 0.0), vectors.T[::-1]
    largest = np.argmax(np.abs(loadings), axis=1)
    loadings = loadings * np.sign(loadings[np.arange(len(loadings)), largest])[:, np.newaxis]
    warnings = list(moments.warnings)
    close = [f"PC{i + 1} and PC{i + 2}" for i in np.flatnonzero(-np.diff(variance) <= CLOSE * variance[0])]
    if close:
        warnings.append(f"equal variances: only the plane of {'; '.join(close)} is determined, not each direction")
    return PcaResult(
        names=moments.names,
        mean=moments.mean,
        sd=sd,
        variance=variance,
        ratio=variance / variance.sum(),
        loadings=loadings,
        standardised=spec.standardise,
        rows=moments.rows,
        sites=moments.sites,
        warnings=tuple(warnings),
    )

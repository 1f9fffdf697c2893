"""The oracle: the same analyses on all patients in one table, by lifelines.

It is used only where all rows may be in one place: in the demonstration and in tests. It has its own code to read the
specification and prepare the rows, so it shares no arithmetic with the results it is compared with.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter, KaplanMeierFitter

from participant.analyses.base.spec import SurvivalSpec
from participant.analyses.survival.cox import CoxSpec
from participant.analyses.survival.kaplan_meier import KaplanMeierSpec
from participant.statistics.language.conditions import meets
from participant.statistics.language.layout import Array
from participant.statistics.language.statistic import Columns

_TO_THE_END = {"precision": 1e-13, "r_precision": 1e-13}  # lifelines' default stops about 1e-5 short of the maximum


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PooledCox:
    """The fit by lifelines; arrays are (p,) in the order of `names`."""

    names: tuple[str, ...]
    coef: Array
    se: Array
    p: Array
    log_likelihood: float
    null_log_likelihood: float
    rows: int
    events: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PooledKaplanMeier:
    """The curve by lifelines at the times in the data; `median` is None if the curve stays above one half."""

    times: Array
    survival: Array
    lower: Array
    upper: Array
    median: float | None


def pooled(tables: Iterable[Columns]) -> Columns:
    """Return the rows of several tables with the same columns as one table."""
    parts = list(tables)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def pooled_cox(table: Columns, spec: CoxSpec, *, on_grid: bool = True) -> PooledCox:
    """Fit by lifelines (Efron ties), on the grid of `spec` or on the original times.

    Raises:
        lifelines.exceptions.ConvergenceError: the estimate does not exist.
    """
    rows = _rows(table, spec, spec.names, on_grid=on_grid)
    fit = CoxPHFitter().fit(rows, duration_col=spec.time, event_col=spec.event, fit_options=_TO_THE_END)
    return PooledCox(
        names=spec.names,
        coef=fit.params_[list(spec.names)].to_numpy(np.float64),
        se=fit.standard_errors_[list(spec.names)].to_numpy(np.float64),
        p=fit.summary.loc[list(spec.names), "p"].to_numpy(np.float64),
        log_likelihood=float(fit.log_likelihood_),
        null_log_likelihood=float(fit.log_likelihood_ - fit.log_likelihood_ratio_test().test_statistic / 2),
        rows=len(rows),
        events=int(rows[spec.event].sum()),
    )


def pooled_kaplan_meier(table: Columns, spec: KaplanMeierSpec, *, on_grid: bool = True) -> PooledKaplanMeier:
    """Estimate by lifelines, on the grid of `spec` or on the original times."""
    rows = _rows(table, spec, spec.complete, on_grid=on_grid)
    fit = KaplanMeierFitter().fit(rows[spec.time], rows[spec.event])
    band = fit.confidence_interval_survival_function_
    median = float(fit.median_survival_time_)
    return PooledKaplanMeier(
        times=fit.survival_function_.index.to_numpy(np.float64),
        survival=fit.survival_function_.iloc[:, 0].to_numpy(np.float64),
        lower=band.iloc[:, 0].to_numpy(np.float64),
        upper=band.iloc[:, 1].to_numpy(np.float64),
        median=median if np.isfinite(median) else None,
    )


def _rows(table: Columns, spec: SurvivalSpec, further: tuple[str, ...], *, on_grid: bool) -> pd.DataFrame:
    """Return the complete rows that meet the filter, with times on the grid or unchanged."""
    columns = [spec.time, spec.event, *further]
    frame = pd.DataFrame({name: table[name] for name in columns})
    for condition in spec.filter:
        frame = frame[meets(condition, table)[frame.index]]
    rows = frame.dropna()
    if on_grid:
        last = spec.grid.width * spec.grid.count
        late = rows[spec.time] > last
        grid_times = np.ceil(rows[spec.time] / spec.grid.width) * spec.grid.width
        rows = rows.assign(**{spec.time: grid_times.clip(upper=last), spec.event: rows[spec.event].where(~late, 0.0)})
    return rows

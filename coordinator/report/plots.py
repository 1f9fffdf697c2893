"""Publication-ready figures, drawn with matplotlib's objects (never pyplot) and rendered to bytes.

The same result gives the same bytes with the same version of matplotlib: there are no dates or random identifiers.
"""

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from participant.analyses.base.result import AnalysisResult
from participant.analyses.descriptive.histogram import HistogramResult
from participant.analyses.learning.roc import RocResult
from participant.analyses.regression.lasso import LassoResult
from participant.analyses.regression.penalised import PenalisedResult
from participant.analyses.regression.ridge import RidgeResult
from participant.analyses.survival.kaplan_meier import KaplanMeierResult
from participant.analyses.survival.log_rank import LogRankResult
from secagg.errors import ParameterError

Format = Literal["png", "svg"]

_CURVE = "#1b4f8a"
_GROUPS = (_CURVE, "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#6b6b6b")  # distinct for colour-blind eyes
_INK = "#222222"
_STYLE: Any = {  # matplotlib types its keys one by one
    "font.family": "DejaVu Sans",  # ships with matplotlib
    "font.size": 9,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "savefig.dpi": 200,
    "text.parse_math": False,  # a title is text, even with a dollar sign
    "svg.hashsalt": "secagg",  # keeps identifiers in the SVG the same from run to run
}
_METADATA: dict[Format, dict[str, str | None]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


class Picture(Figure):
    """A figure that notebooks display automatically."""

    def _repr_png_(self) -> bytes:
        return rendered(self, "png")


def has_figure(result: AnalysisResult) -> bool:
    """Return whether a result has a figure; none does from which too many persons are missing."""
    return not result.is_lacking and (type(result) in _FIGURES or bool(result.drawn))


def plot(result: AnalysisResult) -> Picture:
    """Return the figure of a result: curves, a histogram, a path, or its estimates with their intervals.

    Raises:
        ParameterError: this result has no figure.
    """
    if result.is_lacking:
        raise ParameterError(
            f"too many persons are missing for a figure of this {result.analysis}; its warnings say why"
        )
    if not has_figure(result):
        raise ParameterError(f"the analysis {result.analysis} has no figure; use to_frame() for its numbers")
    with mpl.rc_context(_STYLE):
        return _FIGURES.get(type(result), _estimates_of)(result)


def kaplan_meier_plot(result: KaplanMeierResult, format_: Format, *, title: str = "") -> bytes:
    """Return a figure of a curve with its band, censoring marks and median, and the numbers at risk below.

    Args:
        result: curve to draw.
        format_: ``png`` (200 dots per inch) or ``svg``.
        title: title above the curve, or empty for none.
    """
    with mpl.rc_context(_STYLE):
        return rendered(_curve_of(result, title), format_)


def rendered(figure: Figure, format_: Format) -> bytes:
    """Return a figure as PNG (200 dots per inch) or SVG."""
    buffer = BytesIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(buffer, format=format_, metadata=_METADATA[format_])
    return buffer.getvalue()


def _curve_of(result: KaplanMeierResult, title: str = "") -> Picture:
    figure = Picture(figsize=(6.4, 4.6), layout="constrained")
    curve, numbers = figure.subplots(2, 1, sharex=True, height_ratios=(14, 1))
    _draw_curve(
        curve, result, _CURVE, "Kaplan-Meier estimate", band="95 % confidence band (pointwise)", marks="censored"
    )
    _draw_median(curve, result)
    _draw_axes(curve, result, float(result.times[result.at_risk > 0][-1]), title)
    _draw_numbers_at_risk(numbers, [("", _INK, result)])
    return figure


def _curves_of(result: LogRankResult) -> Picture:
    """Return the curves of groups in one figure, with the test's p-value."""
    drawn = [
        (name, _GROUPS[place % len(_GROUPS)], curve)
        for place, (name, curve) in enumerate(zip(result.names, result.curves, strict=True))
    ]
    figure = Picture(figsize=(6.4, 4.4 + 0.2 * len(drawn)), layout="constrained")
    curve, numbers = figure.subplots(2, 1, sharex=True, height_ratios=(14, len(drawn)))
    for name, colour, one in drawn:
        _draw_curve(curve, one, colour, name)
    last = max(float(one.times[one.at_risk > 0][-1]) for one in result.curves)
    _draw_axes(curve, result.curves[0], last, "")
    curve.annotate(
        f"{result.weighting}, p {'< 0.001' if result.p < 0.001 else f'= {result.p:.2g}'}",
        (0.02, 0.04),
        xycoords="axes fraction",
        fontsize=8,
    )
    _draw_numbers_at_risk(numbers, drawn)
    return figure


def _histogram_of(result: HistogramResult) -> Picture:
    """Return counts as bars, or the densities of groups as outlines."""
    figure = Picture(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    if len(result.groups) == 1:
        axes.stairs(result.counts[0], result.edges, fill=True, color=_CURVE, alpha=0.75)
        axes.vlines(
            result.edges[1:-1], 0, np.minimum(result.counts[0, 1:], result.counts[0, :-1]), "white", linewidth=0.6
        )
    else:
        shades = mpl.colormaps["viridis"](np.linspace(0, 0.85, len(result.groups)))
        for group, density, shade in zip(result.groups, result.density, shades, strict=True):
            axes.stairs(np.nan_to_num(density), result.edges, color=shade, linewidth=1.5, label=group)
        axes.legend(frameon=False, fontsize=8)
    axes.set(xlabel=result.variable, ylabel="Rows" if len(result.groups) == 1 else "Density", ylim=(0, None))
    return figure


def _roc_of(result: RocResult) -> Picture:
    """Return sensitivity against the false positive rate, with the area under the curve."""
    figure = Picture(figsize=(4.6, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=_INK, linewidth=0.8, linestyle=(0, (4, 3)))
    area = f"area {result.auc:.3f} ({result.auc_lower:.3f} to {result.auc_upper:.3f})"
    axes.plot(1 - result.specificity, result.sensitivity, color=_CURVE, marker=".", label=area)
    axes.set(xlabel="1 - specificity", ylabel="Sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.legend(frameon=False, loc="lower right", fontsize=8)
    return figure


def _path_of(result: PenalisedResult) -> Picture:
    """Return the coefficients against the penalty, largest first, with the chosen penalty marked."""
    figure = Picture(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for place, name in enumerate(result.names):
        axes.plot(
            result.penalties,
            result.standardised[:, place],
            color=_GROUPS[place % len(_GROUPS)],
            linestyle=("-", "--", ":")[place // len(_GROUPS) % 3],
            linewidth=1.3,
            label=name,
        )
    axes.axhline(0.0, color=_INK, linewidth=0.6, zorder=0)
    axes.axvline(result.penalty, color=_INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.invert_xaxis()
    axes.set(xlabel="Penalty (dashed: chosen)", ylabel="Coefficient of the scaled covariate")
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


def _estimates_of(result: AnalysisResult) -> Picture:
    """Return a forest plot: a line for each row of the table; ratios on a logarithmic axis."""
    rows = [row for row in result.table() if None not in (row[result.drawn], row["lower"], row["upper"])]
    is_ratio = result.drawn.endswith("ratio")
    figure = Picture(figsize=(6.4, 1.1 + 0.32 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(reversed(rows)):
        axes.plot([row["lower"], row["upper"]], [place, place], color=_CURVE, linewidth=1.5)
        axes.plot([row[result.drawn]], [place], marker="s", markersize=5, color=_CURVE)
    axes.axvline(1.0 if is_ratio else 0.0, color=_INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    axes.set_yticks(range(len(rows)), [str(row["name"]) for row in reversed(rows)])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    if is_ratio:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"{result.drawn.replace('_', ' ').capitalize()} with 95 % interval")
    axes.tick_params(axis="y", length=0)
    return figure


def _draw_curve(
    axes: Axes, result: KaplanMeierResult, colour: str, label: str, *, band: str = "", marks: str = ""
) -> None:
    watched = result.at_risk > 0  # nothing is known after the last patient has left
    known = watched & ~np.isnan(result.lower)
    axes.fill_between(
        result.times[known],
        result.lower[known],
        result.upper[known],
        step="post",
        color=colour,
        alpha=0.18,
        linewidth=0,
        label=band or None,
    )
    axes.step(result.times[watched], result.survival[watched], where="post", color=colour, linewidth=1.5, label=label)
    marked = result.censored > 0
    marked[-1] = False  # at the last grid time, everyone still at risk is censored
    axes.plot(
        result.times[marked],
        result.survival[marked],
        linestyle="none",
        marker="|",
        markersize=6,
        color=colour,
        label=marks or None,
    )


def _draw_median(axes: Axes, result: KaplanMeierResult) -> None:
    if result.median is None:
        return
    axes.plot(
        [0, result.median, result.median], [0.5, 0.5, 0], color=_INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1
    )
    axes.annotate(
        f"median {result.median:g} {result.time_unit}",
        (result.median, 0.5),
        xytext=(4, 3),
        textcoords="offset points",
        fontsize=8,
    )


def _draw_axes(axes: Axes, result: KaplanMeierResult, last: float, title: str) -> None:
    axes.set(ylabel="Survival", ylim=(0, 1.02), xlim=(0, last))
    if title:
        axes.set_title(title, fontsize=10)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]))
    axes.tick_params(labelbottom=True)
    axes.set_xlabel(f"Time ({result.time_unit})")
    axes.legend(frameon=False, loc="upper right", fontsize=8)


def _draw_numbers_at_risk(axes: Axes, drawn: Sequence[tuple[str, str, KaplanMeierResult]]) -> None:
    """Write a line of numbers at risk for each curve, given as name, colour and result."""
    axes.set(ylim=(0, len(drawn)))
    axes.spines[:].set_visible(False)
    axes.tick_params(bottom=False, labelbottom=False, left=False, pad=12)
    axes.set_title("Number at risk", loc="left", fontsize=8, pad=1)
    places = [len(drawn) - 0.4 - line for line in range(len(drawn))]
    axes.set_yticks(places, [name for name, _, _ in drawn], fontsize=8)
    for place, (_, colour, result) in zip(places, drawn, strict=True):
        for tick in axes.get_xticks():
            if 0 <= tick <= axes.get_xlim()[1]:
                at = int(np.searchsorted(result.times, tick))  # those with this time or a later one
                axes.text(
                    float(tick), place, f"{result.at_risk[at]:.0f}", ha="center", va="center", fontsize=8, color=colour
                )


_FIGURES: dict[type[AnalysisResult], Callable[[Any], Picture]] = {
    HistogramResult: _histogram_of,
    KaplanMeierResult: _curve_of,
    LassoResult: _path_of,
    LogRankResult: _curves_of,
    RidgeResult: _path_of,
    RocResult: _roc_of,
}
"""Results with their own kind of figure; all others that have `drawn` are shown as a forest plot."""

"""Figures as a paper would take them, drawn by matplotlib's objects (never pyplot) and rendered to bytes.

The same result gives the same bytes with the same version of matplotlib: no date, no random identifiers.
"""

from io import BytesIO
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from coordinator.analyses.kaplan_meier import KaplanMeierResult

Format = Literal["png", "svg"]

_CURVE = "#1b4f8a"
_INK = "#222222"
_STYLE: Any = {  # matplotlib types its keys one by one
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "savefig.dpi": 200,
    "text.parse_math": False,  # a title is words, also with a dollar sign
    "svg.hashsalt": "secagg",  # identifiers inside the SVG do not change from run to run
}
_METADATA: dict[Format, dict[str, str | None]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


def kaplan_meier_plot(result: KaplanMeierResult, format_: Format, *, title: str = "") -> bytes:
    """Return a figure of the curve with its band, censoring marks, median and the numbers at risk below.

    Args:
        result: the curve.
        format_: ``png`` (200 dots an inch) or ``svg``.
        title: printed above the curve; none if empty.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(6.4, 4.6), layout="constrained")
        curve, numbers = figure.subplots(2, 1, sharex=True, height_ratios=(14, 1))
        _draw_curve(curve, result, title)
        _draw_numbers_at_risk(numbers, result)
        return _rendered(figure, format_)


def _draw_curve(axes: Axes, result: KaplanMeierResult, title: str) -> None:
    watched = result.at_risk > 0  # nothing is known after the last patient left
    band = watched & ~np.isnan(result.lower)
    axes.fill_between(
        result.times[band],
        result.lower[band],
        result.upper[band],
        step="post",
        color=_CURVE,
        alpha=0.18,
        linewidth=0,
        label="95 % confidence band (pointwise)",
    )
    axes.step(
        result.times[watched],
        result.survival[watched],
        where="post",
        color=_CURVE,
        linewidth=1.5,
        label="Kaplan-Meier estimate",
    )
    marks = result.censored > 0
    marks[-1] = False  # at the last grid time all who are left are censored
    axes.plot(
        result.times[marks],
        result.survival[marks],
        linestyle="none",
        marker="|",
        markersize=6,
        color=_CURVE,
        label="censored",
    )
    if result.median is not None:
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
    axes.set(ylabel="Survival", ylim=(0, 1.02), xlim=(0, float(result.times[watched][-1])))
    if title:
        axes.set_title(title, fontsize=10)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]))
    axes.tick_params(labelbottom=True)
    axes.set_xlabel(f"Time ({result.time_unit})")
    axes.legend(frameon=False, loc="upper right", fontsize=8)


def _draw_numbers_at_risk(axes: Axes, result: KaplanMeierResult) -> None:
    axes.set(ylim=(0, 1), yticks=[])
    axes.spines[:].set_visible(False)
    axes.tick_params(bottom=False, labelbottom=False)
    axes.set_title("Number at risk", loc="left", fontsize=8, pad=1)
    for tick in axes.get_xticks():
        if 0 <= tick <= axes.get_xlim()[1]:
            at = int(np.searchsorted(result.times, tick))  # those whose time is this tick or later
            axes.text(float(tick), 0.6, f"{result.at_risk[at]:.0f}", ha="center", va="center", fontsize=8)


def _rendered(figure: Figure, format_: Format) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format=format_, metadata=_METADATA[format_])
    return buffer.getvalue()

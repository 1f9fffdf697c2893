"""The report's pictures, drawn with matplotlib's objects (never pyplot) and rendered to PNG."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from participant.data.model.description import ColumnKind
from participant.data.model.profile import ColumnProfile

_BARS = "#1b4f8a"
_GAPS = "#b3412f"
_INK = "#222222"
_STYLE: Any = {  # matplotlib types its keys one by one
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 7,
    "axes.edgecolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "savefig.dpi": 144,
    "text.parse_math": False,  # a value is plain text, even with a dollar sign
}
_SHOWN = 6
_LONGEST = 18


def distribution(seen: ColumnProfile) -> bytes | None:
    """Return a column's histogram or its most frequent values as PNG; None if there is nothing to show."""
    if seen.edges is None and (not seen.levels or seen.levels[0][1] == 1):
        return None
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(2.6, 1.1), layout="constrained")
        axes = figure.subplots()
        if seen.edges is not None and seen.counts is not None:
            axes.stairs(seen.counts, seen.edges, fill=True, color=_BARS)
            if seen.column.kind is ColumnKind.DATE:
                locator = AutoDateLocator(maxticks=4)  # type: ignore[no-untyped-call]  # of matplotlib
                axes.xaxis.set_major_locator(locator)
                axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
            else:
                axes.locator_params(axis="x", nbins=4)
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
        else:
            levels = seen.levels[:_SHOWN][::-1]
            axes.barh([_short(value) for value, _ in levels], [count for _, count in levels], color=_BARS)
            axes.set_xticks([])
            axes.spines["bottom"].set_visible(False)
        return _rendered(figure)


def missingness(columns: Sequence[ColumnProfile]) -> bytes:
    """Return a map of missing values as PNG: one line for each column, rows from left to right."""
    shares = np.array([seen.missing for seen in columns])
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 0.7 + 0.16 * len(columns)), layout="constrained")
        axes = figure.subplots()
        colours = mpl.colors.LinearSegmentedColormap.from_list("gaps", ["#eef1f4", _GAPS])
        image = axes.imshow(shares, aspect="auto", interpolation="nearest", cmap=colours, vmin=0, vmax=1)
        axes.set_yticks(range(len(columns)), [_short(seen.column.name, 32) for seen in columns])
        axes.set_xticks([0, shares.shape[1] - 1], ["first row", "last row"])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        figure.colorbar(image, ax=axes, fraction=0.02, pad=0.01, ticks=[0, 1], format="{x:.0%} missing")
        return _rendered(figure)


def _short(text: str, longest: int = _LONGEST) -> str:
    plain = "".join(c if c.isprintable() else "?" for c in text)
    return plain if len(plain) <= longest else f"{plain[: longest - 1]}\u2026"


def _rendered(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()

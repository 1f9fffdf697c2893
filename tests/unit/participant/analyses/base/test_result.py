"""The common parts of all results: summaries, pages, data frames and figures, derived from each one's description."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import matplotlib as mpl
import numpy as np
import pytest

from coordinator.demo.lung import COX, KAPLAN_MEIER, lung_by_institution
from coordinator.report.plots import plot
from participant.analyses.base.result import AnalysisResult
from secagg.errors import ParameterError
from tests.support.plain_sum import PlainSum

HOSTILE = "<script>alert(1)</script>"


@dataclass(frozen=True, slots=True)
class Tally(AnalysisResult):
    analysis: ClassVar[str] = "tally"
    formats: ClassVar[Mapping[str, str]] = {"name": "", "count": ".1f", "se": ".2f"}

    sites: tuple[str, ...] = ("north", "south")
    warnings: tuple[str, ...] = ()

    def table(self) -> list[dict[str, Any]]:
        return [{"name": HOSTILE, "count": 12.0, "se": None}, {"name": "b", "count": 1.25, "se": 0.5}]

    @property
    def title(self) -> str:
        return "A tally"

    def facts(self) -> dict[str, Any]:
        return {"Rows": 12_345, "Mean": 1 / 3, "Kind": HOSTILE}


def test_a_summary_has_the_layout_of_statsmodels() -> None:
    head, double, *_ = lines = Tally(warnings=("mind the gap",)).summary().split("\n")
    assert head.strip() == "A tally"
    assert set(double) == {"="}
    assert lines[2].split() == ["Rows:", "12345", "Kind:", HOSTILE]
    assert lines[3].split() == ["Mean:", "0.333333", "Sites:", "2"]
    assert lines[5].split() == ["count", "std", "err"]
    assert lines[7].split() == [HOSTILE, "12.0", "-"]
    assert lines[-1] == "warning: mind the gap"
    assert len({len(line) for line in lines if set(line) <= {"=", "-"}}) == 1  # one width


def test_a_page_shows_words_and_runs_nothing() -> None:
    page = Tally(warnings=(HOSTILE,))._repr_html_()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 3
    assert "12345" in page


def test_a_data_frame_has_the_names_as_its_index() -> None:
    frame = Tally().to_frame()
    assert list(frame.index) == [HOSTILE, "b"]
    assert frame.loc["b", "count"] == 1.25


def test_without_pandas_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ParameterError, match=r"secagg\[notebook\]"):
        Tally().to_frame()


def test_an_analysis_without_a_figure_says_so() -> None:
    with pytest.raises(ParameterError, match="the analysis tally has no figure"):
        plot(Tally())


async def test_a_regression_is_drawn_with_its_intervals() -> None:
    result = await COX.analyse(PlainSum(lung_by_institution()))
    figure = plot(result)
    assert figure._repr_png_().startswith(b"\x89PNG")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == list(COX.names[::-1])
    spans = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2][: len(COX.names)]
    np.testing.assert_allclose(spans, np.column_stack([result.lower, result.upper])[::-1])
    assert axes.get_xscale() == "log"
    assert mpl.rcParams["font.size"] == mpl.rcParamsDefault["font.size"]


async def test_every_number_of_a_regression_s_summary_is_in_its_table() -> None:
    result = await COX.analyse(PlainSum(lung_by_institution()))
    text = result.summary()
    for row in result.table():
        assert f"{row['coef']:.6f}" in text
        assert f"{row['hazard_ratio']:.4f}" in text
    assert "Patients:" in text
    assert str(result.rows) in text


async def test_a_curve_is_drawn() -> None:
    result = await KAPLAN_MEIER.analyse(PlainSum(lung_by_institution()))
    assert len(plot(result).axes) == 2
    assert len(result.to_frame()) == KAPLAN_MEIER.grid.count + 1
    assert f"{result.median:g} days" in result.summary()

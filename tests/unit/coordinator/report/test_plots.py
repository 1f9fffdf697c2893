import sys
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from coordinator.demo.lung import KAPLAN_MEIER, lung_by_institution
from coordinator.report.plots import has_figure, kaplan_meier_plot, plot
from participant.analyses.catalogue import parse_spec
from participant.analyses.survival.kaplan_meier import KaplanMeierResult, KaplanMeierSpec, estimate_kaplan_meier
from participant.statistics.models.outcome import Grid
from tests.support.plain_sum import PlainSum


async def curve() -> KaplanMeierResult:
    return await estimate_kaplan_meier(KAPLAN_MEIER, PlainSum(lung_by_institution()))


async def test_png_and_svg_are_the_same_each_time() -> None:
    result = await curve()
    for format_, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        first = kaplan_meier_plot(result, format_, title="Lung cancer, $5 a day")
        assert first.startswith(start)
        assert first == kaplan_meier_plot(result, format_, title="Lung cancer, $5 a day")
        assert first != kaplan_meier_plot(result, format_)
    assert ET.fromstring(kaplan_meier_plot(result, "svg")).tag.endswith("svg")


async def test_no_date_and_no_global_state() -> None:
    svg = kaplan_meier_plot(await curve(), "svg")
    assert b"dc:date" not in svg
    assert "matplotlib.pyplot" not in sys.modules or "lifelines" in sys.modules  # lifelines brings it along


@pytest.mark.parametrize("times", [[1.0, 2.0, 3.0], [1.0, 1.0, 1.0], [9.0, 9.0, 9.0]])
@pytest.mark.parametrize("status", [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
async def test_odd_curves(times: list[float], status: list[float]) -> None:
    spec = KaplanMeierSpec(
        dataset="d", time="t", event="e", grid=Grid(width=1, count=5), row_limit=9, minimum_persons=1
    )
    result = await estimate_kaplan_meier(spec, PlainSum({"all": {"t": np.array(times), "e": np.array(status)}}))
    assert kaplan_meier_plot(result, "png").startswith(b"\x89PNG")


ROWS = {"dataset": "lung", "row_limit": 1000}
NUMBERS = [{"column": "ph.karno", "low": 0, "high": 100}, {"column": "age", "low": 18, "high": 100}]
OF_THEIR_OWN = [
    {**ROWS, "analysis": "lasso", "formula": "ph.karno ~ age", "numbers": NUMBERS},
    {
        **ROWS,
        "analysis": "roc",
        "bins": 10,
        "minimum_persons": 1,
        "model": {
            "analysis": "glm",
            "formula": "status ~ age",
            "family": "binomial",
            "numbers": [NUMBERS[1], {"column": "status", "low": 0, "high": 1}],
        },
    },
]


@pytest.mark.parametrize("task", OF_THEIR_OWN, ids=lambda task: task["analysis"])
async def test_figures_of_their_own(task: dict) -> None:
    result = await parse_spec(task).analyse(PlainSum(lung_by_institution()))
    assert has_figure(result)
    figure = plot(result)
    assert figure._repr_png_().startswith(b"\x89PNG")
    (axes,) = figure.axes
    drawn = axes.lines[1 if task["analysis"] == "roc" else 0]
    expected = (
        (1 - result.specificity, result.sensitivity)
        if task["analysis"] == "roc"
        else (
            result.penalties,
            result.standardised[:, 0],
        )
    )
    np.testing.assert_array_equal(drawn.get_data(), expected)

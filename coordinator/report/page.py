"""A run as one page that needs nothing else: tables, figures, what was asked, floors, versions, the receipt's hash.

Pictures are inside, nothing is fetched, nothing runs. The page is for a publication's supplement or an auditor. Beside
the names of sites the numbers of rows stand in bands alone.
"""

import platform
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from coordinator.report.plots import has_figure, plot, rendered
from coordinator.report.run import RunReport
from coordinator.report.text import words_of
from coordinator.runs.lifecycle import HeldBySites
from participant.analyses.base.result import AnalysisResult
from participant.statistics.evaluation.describe import InWords, describe
from participant.statistics.language.query import Query
from participant.study.catalogue import Band

_PAGES = Environment(
    loader=PackageLoader("coordinator.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_PACKAGES = ("secagg", "numpy", "scipy")


class ResultSection(NamedTuple):
    """A result on the page."""

    name: str
    table: Markup
    figure: str | None


class Round(NamedTuple):
    """A round on the page, its query in words."""

    number: int
    words: InWords
    sites: tuple[str, ...]
    ring_bits: int


def export(run: RunReport, path: Path | str) -> None:
    """Write a run as one HTML page that needs nothing else."""
    Path(path).write_text(page(run), encoding="utf-8")


def page(run: RunReport) -> str:
    """Return the page of a run."""
    return _PAGES.get_template("page.html.j2").render(
        run=run,
        began=_date(run.began),
        ended=_date(run.ended),
        pieces=[_piece(result) for result in run.results],
        cohort=list(_cohort(run)),
        rounds=[
            Round(answer.round, describe(query), answer.survivors, answer.ring_bits) for query, answer in run.answers
        ],
        floors=_floors(run),
        tells=sorted({describe(query).tells for query, _ in run.answers}),
        versions=_versions([asked.query for asked, _ in run.answers]),
    )


def _piece(result: AnalysisResult | HeldBySites) -> ResultSection:
    if isinstance(result, HeldBySites):
        return ResultSection(result.analysis, Markup("<p>{}</p>").format(words_of(result)), None)
    figure = None
    if has_figure(result):
        figure = f"data:image/png;base64,{b64encode(rendered(plot(result), 'png')).decode()}"
    return ResultSection(result.analysis, Markup(result._repr_html_()), figure)  # noqa: S704  # its template has escaped it


def _cohort(run: RunReport) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield for each result its analysis, about how many rows it is over, and its sites."""
    for result in run.results:
        rows = getattr(result, "rows", None)
        yield result.analysis, str(Band.of(rows)) if isinstance(rows, int) else "not told", result.sites


def _floors(run: RunReport) -> list[tuple[str, str]]:
    """Return the rules that held, by name."""
    persons = sorted({asked.query.minimum_persons for asked, _ in run.answers})
    found = [("Persons that a site's numbers stand for at least", ", ".join(map(str, persons)) or "none asked")]
    if run.terms is None:
        return found
    return [
        *found,
        ("Sites in the roster at least", str(run.terms.minimum_sites)),
        ("Profile of the protocol", run.terms.profile),
        ("When a site is lost", run.terms.loss_rule),
        ("How the sums were made", "by masks" if run.terms.mode == "masks" else "homomorphically"),
    ]


def _versions(queries: list[Query]) -> list[tuple[str, str]]:
    statistics = {(f"statistic {query.statistic}", str(query.version)) for query in queries}
    packages = [(name, version(name)) for name in _PACKAGES]
    return [*packages, ("Python", platform.python_version()), *sorted(statistics)]


def _date(seconds: float | None) -> Any:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")

"""A run as one self-contained page: tables, figures, queries, floors, versions, and the receipt's hash.

Images are embedded; the page fetches nothing and runs no script. It is meant for a publication's supplement or an
auditor. Next to the names of sites, numbers of rows appear only as bands.
"""

import platform
from base64 import b64encode
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

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
from relay.service.dates import utc

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
    """Write a run as one self-contained HTML page."""
    Path(path).write_text(page(run), encoding="utf-8")


def page(run: RunReport) -> str:
    """Return a run's page."""
    return _PAGES.get_template("page.html.j2").render(
        run=run,
        began=None if run.began is None else utc(run.began),
        ended=None if run.ended is None else utc(run.ended),
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
    """Yield each result's analysis, the band of its number of rows, and its sites."""
    for result in run.results:
        rows = getattr(result, "rows", None)
        yield result.analysis, str(Band.of(rows)) if isinstance(rows, int) else "not stated", result.sites


def _floors(run: RunReport) -> list[tuple[str, str]]:
    """Return the rules that applied, by name."""
    persons = sorted({asked.query.minimum_persons for asked, _ in run.answers})
    found = [("Least number of persons behind a site's numbers", ", ".join(map(str, persons)) or "none")]
    if run.terms is None:
        return found
    return [
        *found,
        ("Least number of sites in the roster", str(run.terms.minimum_sites)),
        ("Protocol profile", run.terms.profile),
        ("Loss rule", run.terms.loss_rule),
        ("Sums formed by", "masks" if run.terms.mode == "masks" else "homomorphic encryption"),
    ]


def _versions(queries: list[Query]) -> list[tuple[str, str]]:
    statistics = {(f"statistic {query.statistic}", str(query.version)) for query in queries}
    packages = [(name, version(name)) for name in _PACKAGES]
    return [*packages, ("Python", platform.python_version()), *sorted(statistics)]

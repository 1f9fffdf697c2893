"""The report as one page that needs nothing else: pictures are inside, nothing is fetched, nothing runs."""

from base64 import b64encode

from jinja2 import Environment, PackageLoader, StrictUndefined

from participant.data.report import Facts, in_figures, summary
from participant.data.report.figures import distribution, missingness

PICTURES = 100  # columns that are drawn; wider tables are told in figures alone

_PAGES = Environment(
    loader=PackageLoader("participant.data.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def page(facts: Facts) -> str:
    """Return the page."""
    drawn = facts.columns[:PICTURES]
    return _PAGES.get_template("page.html.j2").render(
        facts=facts,
        summary=summary(facts),
        columns=[
            (seen, _inside(distribution(seen) if position < PICTURES else None))
            for position, seen in enumerate(facts.columns)
        ],
        missing=_inside(missingness(drawn) if drawn and facts.stored else None),
        left=len(facts.columns) - len(drawn),
        figures=in_figures,
    )


def _inside(picture: bytes | None) -> str | None:
    return None if picture is None else f"data:image/png;base64,{b64encode(picture).decode()}"

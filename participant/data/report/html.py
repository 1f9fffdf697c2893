"""The report as a self-contained page: pictures are embedded, nothing is fetched, nothing runs."""

from base64 import b64encode
from types import ModuleType

from jinja2 import Environment, PackageLoader, StrictUndefined

from participant.data.report.facts import ImportFacts, attrition, in_figures, remarks_on, summary

PICTURES = 100  # columns drawn; further ones appear in numbers alone

_PAGES = Environment(
    loader=PackageLoader("participant.data.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def page(facts: ImportFacts, *, pictures: bool) -> str:
    """Return the page, with pictures of the first columns or without any."""
    drawn = facts.columns[:PICTURES] if pictures and facts.stored else ()
    return _PAGES.get_template("page.html.j2").render(
        facts=facts,
        summary=summary(facts),
        attrition=attrition(facts),
        columns=[
            (seen, _inside(_drawing().distribution(seen) if position < len(drawn) else None))
            for position, seen in enumerate(facts.columns)
        ],
        missing=_inside(_drawing().missingness(drawn) if drawn else None),
        left=len(facts.columns) - len(drawn) if drawn else 0,
        figures=in_figures,
        remarks=remarks_on,
    )


def _drawing() -> ModuleType:
    """Return the module that draws; matplotlib takes a second to load."""
    from participant.data.report import figures  # noqa: PLC0415

    return figures


def _inside(picture: bytes | None) -> str | None:
    return None if picture is None else f"data:image/png;base64,{b64encode(picture).decode()}"

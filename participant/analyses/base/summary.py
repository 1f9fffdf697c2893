"""A result's summary for a terminal or a page: a heading, facts in two columns, a table, notes.

The layout follows statsmodels' summaries, which analysts know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from participant.analyses.base.text_table import cell, heading, text_table

_LEAST_WIDTH = 60
_GAP = "   "
_PAGES = Environment(
    loader=PackageLoader("participant.analyses.base", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


@dataclass(frozen=True, slots=True)
class Summary:
    """A result as text and numbers.

    Attributes:
        title: heading, one line.
        facts: numbers and text above the table, by name.
        rows: rows of the table, cells by column.
        formats: columns to show, each with its format (see `text_table`); no table if empty.
        notes: lines below the table.
        warnings: caveats for the reader of the result.
    """

    title: str
    facts: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    formats: Mapping[str, str]
    notes: Sequence[str]
    warnings: Sequence[str]

    def text(self) -> str:
        """Return the summary for a terminal."""
        facts = _in_two_columns([(f"{name}:", fact(value)) for name, value in self.facts.items()])
        head, *body = text_table(self.rows, self.formats) if self.formats else [""]
        width = max(_LEAST_WIDTH, *map(len, [self.title, *facts, head, *body]))
        double, single = "=" * width, "-" * width
        table = [head, single, *body, double] if self.formats else []
        below = [*self.notes, *(f"warning: {text}" for text in self.warnings)]
        return "\n".join([self.title.center(width).rstrip(), double, *facts, double, *table, *below])

    def html(self) -> str:
        """Return the summary as an HTML fragment, fully escaped."""
        rows = [[cell(row[name], form) for name, form in self.formats.items()] for row in self.rows]
        return _PAGES.get_template("summary.html.j2").render(
            summary=self,
            facts=[(name, fact(value)) for name, value in self.facts.items()],
            headings=[(heading(name), form == "") for name, form in self.formats.items()],
            rows=rows,
        )


def fact(value: Any) -> str:
    """Format a value: a number to six digits, an integer in full, text unchanged."""
    return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _in_two_columns(facts: Sequence[tuple[str, str]]) -> list[str]:
    half = (len(facts) + 1) // 2
    left, right = _aligned(facts[:half]), _aligned(facts[half:])
    return [f"{one}{_GAP}{other}".rstrip() for one, other in zip_longest(left, right, fillvalue="")]


def _aligned(facts: Sequence[tuple[str, str]]) -> list[str]:
    names, values = (max((len(fact[i]) for fact in facts), default=0) for i in (0, 1))
    return [f"{name.ljust(names)} {value.rjust(values)}" for name, value in facts]

"""The report as Markdown, without pictures."""

import re
from collections.abc import Iterable, Sequence

from participant.data.report.facts import ImportFacts, attrition, in_figures, remarks_on, summary


def page(facts: ImportFacts) -> str:
    """Return the report as Markdown."""
    parts = [
        f"# Import of {_cell(facts.dataset)}",
        *_table(("", ""), summary(facts)),
        "## Who is in the cohort" if facts.origin.attrition else "",
        *(_table(("Step", "Left out", "Remaining"), attrition(facts)) if facts.origin.attrition else []),
        "## Bad rows" if facts.reasons else "",
        *(_table(("Column", "Reason", "Times"), facts.reasons) if facts.reasons else []),
        "## Columns",
        *_table(
            ("Column", "Type", "Unit", "Missing", "Distinct", "Minimum", "Median", "Maximum", "Mean", "Most frequent"),
            [
                (
                    seen.column.name,
                    seen.column.kind.value,
                    seen.column.unit,
                    f"{seen.column.missing / max(facts.stored, 1):.1%}",
                    f"{seen.distinct:,}",
                    in_figures(seen.low, seen.column.kind),
                    in_figures(seen.quartiles[1] if seen.quartiles else None, seen.column.kind),
                    in_figures(seen.high, seen.column.kind),
                    in_figures(seen.mean, seen.column.kind),
                    ", ".join(f"{value[:40]} ({count:,})" for value, count in seen.levels[:3]),
                )
                for seen in facts.columns
            ],
        ),
        "## Notes",
        *(
            f"- **{_cell(seen.column.name)}**: {_cell('; '.join(notes))}"
            for seen in facts.columns
            if (notes := remarks_on(facts, seen.column))
        ),
        "",
        "## Steps",
        *_table(("Step", "Seconds"), [(step, f"{seconds:.2f}") for step, seconds in facts.seconds.items()]),
    ]
    return "\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    return [
        "",
        _line(head),
        _line(["---"] * len(head)),
        *(_line([_cell(str(one)) for one in row]) for row in rows),
        "",
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """Escape text so that nothing in it is markup, a link or the end of a cell."""
    return re.sub(r"([\\`*_{}\[\]<>()#|!~&])", r"\\\1", " ".join(text.split()))

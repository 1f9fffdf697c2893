"""The report as CSV, one line for each column. No cell is one that a spreadsheet would run as a formula."""

import csv
from io import StringIO

from participant.data.report.facts import ImportFacts, in_figures, remarks_on
from participant.data.steps.bad_rows import disarmed

HEADER = (
    "column", "header", "label", "type", "unit", "rows", "missing", "missing_share", "distinct", "minimum",
    "first_quartile", "median", "third_quartile", "maximum", "mean", "standard_deviation", "most_frequent", "notes",
)  # fmt: skip


def table(facts: ImportFacts) -> str:
    """Return the report as CSV."""
    out = StringIO()
    writer = csv.writer(out)
    writer.writerow(HEADER)
    for seen in facts.columns:
        column = seen.column
        quartiles = seen.quartiles or (None, None, None)
        cells = [
            column.name,
            column.header or column.name,
            column.label,
            column.kind.value,
            column.unit,
            str(facts.stored),
            str(column.missing),
            f"{column.missing / max(facts.stored, 1):.4f}",
            str(seen.distinct),
            *(in_figures(one, column.kind).replace(",", "") for one in (seen.low, *quartiles, seen.high, seen.mean)),
            "" if seen.sd is None else f"{seen.sd:.6g}",
            "; ".join(f"{value[:80]}: {count}" for value, count in seen.levels),
            "; ".join(remarks_on(facts, column)),
        ]
        writer.writerow([disarmed(cell) for cell in cells])
    return out.getvalue()

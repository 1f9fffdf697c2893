"""Writes a report in all its formats."""

from pathlib import Path

from participant.data.model.private import private_file
from participant.data.model.quality import NAME as QUALITY
from participant.data.report import csv, html, markdown
from participant.data.report.facts import ImportFacts

HTML = "report.html"
MARKDOWN = "report.md"
CSV = "report.csv"


def write(facts: ImportFacts, folder: Path, *, pictures: bool) -> None:
    """Write the report in all its formats into a folder."""
    for name, text in (
        (HTML, html.page(facts, pictures=pictures)),
        (MARKDOWN, markdown.page(facts)),
        (CSV, csv.table(facts)),
        (QUALITY, facts.quality.model_dump_json(indent=2)),
    ):
        with private_file(folder / name) as file:
            file.write(text)

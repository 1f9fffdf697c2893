"""The facts in a report, whatever its format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from participant.data.model.description import Column, ColumnKind
from participant.data.model.profile import ColumnProfile
from participant.data.model.quality import Quality
from participant.data.sources import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportFacts:
    """The facts in a report.

    Attributes:
        dataset: name of the dataset.
        version: the new version, None if the import was refused.
        at: time of the import.
        origin: origin of the table.
        seconds: duration of each step.
        read, stored: number of rows read, and stored.
        bad, repeated: number of rows left out as bad, and as repeating another.
        allowed: share of rows that may be bad.
        same: number of rows, kept, equal to an earlier one in every cell, in a table without a key.
        persons: number of different persons, if an identifier was declared.
        reasons: (column, reason, times), most frequent first.
        columns: profiles of the columns.
        notes: inferences, changes and open questions, by column.
        remarks: the same for the whole table.
    """

    dataset: str
    version: int | None
    at: datetime
    origin: Origin
    seconds: Mapping[str, float]
    read: int
    stored: int
    bad: int
    repeated: int
    allowed: float
    same: int
    persons: int | None
    reasons: Sequence[tuple[str, str, int]]
    columns: Sequence[ColumnProfile]
    notes: Mapping[str, Sequence[str]]
    remarks: Sequence[str] = ()

    @property
    def refused(self) -> bool:
        return self.version is None

    @property
    def quality(self) -> Quality:
        """The import's quality in figures."""
        return Quality(
            read=self.read,
            stored=self.stored,
            bad=self.bad,
            repeated=self.repeated,
            same=self.same,
            missing={seen.column.name: seen.column.missing for seen in self.columns},
            seconds={step: round(taken, 3) for step, taken in self.seconds.items()},
        )


def in_figures(value: float | None, kind: ColumnKind) -> str:
    """Format a value of a column."""
    if value is None:
        return ""
    if kind is ColumnKind.DATE:
        return (date(1970, 1, 1) + timedelta(days=round(value))).isoformat()
    return f"{value:,.6g}"


def remarks_on(facts: ImportFacts, column: Column) -> list[str]:
    """Return the report's remarks on a column: notes, and reasons why values are missing."""
    reasons = ", ".join(f"{reason} ({count:,})" for reason, count in column.reasons.items())
    return [
        *facts.notes.get(column.name, ()),
        *([f"missing, as the source says: {reasons}"] if reasons else []),
    ]


def summary(facts: ImportFacts) -> list[tuple[str, str]]:
    """Return the report's summary as labels and values."""
    size = "" if facts.origin.bytes is None else f", {facts.origin.bytes:,} bytes"
    rows = [
        (
            "Dataset",
            f"{facts.dataset}, " + ("refused, nothing was stored" if facts.refused else f"version {facts.version}"),
        ),
        ("Imported", facts.at.isoformat(timespec="seconds")),
        ("Source", f"{facts.origin.kind}: {facts.origin.name}{size}"),
        *(("Read as", note) for note in facts.origin.notes),
        *(("Note", remark) for remark in facts.remarks),
        ("Rows read", f"{facts.read:,}"),
        ("Rows stored", f"{facts.stored:,}"),
        ("Bad rows", f"{facts.bad:,} ({facts.bad / max(facts.read, 1):.2%}; {facts.allowed:.2%} may be)"),
    ]
    rows += [(name.capitalize(), f"{share:.2%}") for name, share in facts.quality.shares.items()]
    if facts.repeated:
        rows.append(("Repeated rows", f"{facts.repeated:,}, left out"))
    if facts.same:
        rows.append(("Equal rows", f"{facts.same:,} agree with an earlier one in every cell; without a key they stay"))
    if facts.persons is not None:
        rows.append(("Persons", f"{facts.persons:,} in the rows read; their identifiers were not stored"))
    return rows


def attrition(facts: ImportFacts) -> list[tuple[str, str, str]]:
    """Return the steps that left persons out of a cohort: words, persons left out, persons that remain."""
    return [(one.words, f"{one.persons:,}", f"{one.remaining:,}") for one in facts.origin.attrition]

"""The sums that this site holds, each with its query; the authentication lanes verified them, whoever opened them."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np

from participant.records.ledger import Ledger
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.evaluation.pooled import read
from participant.statistics.language.layout import Arrays
from participant.statistics.language.query import Query, canonical


@dataclass(frozen=True, slots=True)
class KeptResult:
    """A sum that this site holds.

    Attributes:
        sites: keys of the sites in the sum, base64url, as this site signed them.
        values: blocks of the statistic, by name, as an analysis reads them.
    """

    project: UUID
    run: UUID
    round: int
    query: Query
    sites: tuple[str, ...]
    values: Arrays


def kept(ledger: Ledger) -> list[KeptResult]:
    """Return all sums that this site holds, oldest first.

    Raises:
        BrokenChainError: a ledger entry was altered; the ledger holds the queries.
    """
    entries = {(one["what"], one["run"], one["round"]): one for one in ledger.entries() if "round" in one}
    found = []
    for run, round_, total in ledger.results():
        upload, signed = (entries[what, str(run), round_] for what in ("upload", "survivors"))
        asked = BoundQuery.decode(canonical(upload["query"]))
        values = read(asked, np.frombuffer(total, "<f8").astype(np.float64))
        found.append(KeptResult(UUID(upload["project"]), run, round_, asked.query, tuple(signed["sites"]), values))
    return found


def as_facts(result: KeptResult) -> dict[str, Any]:
    """Return a sum as JSON-compatible values."""
    return {
        "project": str(result.project),
        "run": str(result.run),
        "round": result.round,
        "query": result.query.model_dump(mode="json"),
        "sites": list(result.sites),
        "values": {name: block.tolist() for name, block in result.values.items()},
    }


def as_words(result: KeptResult) -> str:
    """Format a sum for a terminal, one block a line."""
    head = f"{result.query.statistic} over {len(result.sites)} sites: round {result.round}, run {result.run}"
    return "\n".join([head, *(f"  {name:<16} {_short(block)}" for name, block in result.values.items())])


def _short(block: np.ndarray) -> str:
    return np.array2string(block, max_line_width=120, threshold=60, prefix=" " * 19)

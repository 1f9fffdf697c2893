"""A receipt in words and as plain values, for its holders: a run's queries, and the sites that answered them."""

from typing import Any
from uuid import UUID

from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.evaluation.describe import describe
from participant.statistics.language.query import Query, QueryError
from secagg.errors import ParameterError
from secagg.identity import fingerprint
from secagg.receipts import ReceiptFindings, RoundShown


def as_facts(shown: ReceiptFindings) -> dict[str, Any]:
    """Return a receipt's contents as JSON-compatible values; keys and hashes in hex."""
    return {
        "run": str(UUID(bytes=shown.run)),
        "project": str(UUID(bytes=shown.roster.project)),
        "words": shown.roster.words(),
        "coordinator": shown.roster.coordinator.hex(),
        "sites": [key.hex() for key in shown.roster.sites],
        "epochs": [
            {"epoch": epoch, "commitments": {key.hex(): leaf.hex() for key, leaf in leaves.items()}}
            for epoch, leaves in shown.commitments.items()
        ],
        "rounds": [
            {
                "round": one.round,
                "epoch": one.epoch,
                "query": _query(one),
                "asked": [key.hex() for key in one.asked],
                "uploads": {key.hex(): root.hex() for key, root in one.uploads.items()},
                "result": None if one.root is None else one.root.hex(),
            }
            for one in shown.rounds
        ],
        "outcome": shown.outcome,
        "head": shown.head.hex(),
    }


def as_words(shown: ReceiptFindings) -> str:
    """Format a receipt for a terminal."""
    return "\n".join(
        [
            f"The receipt is valid: run {UUID(bytes=shown.run)} of project {UUID(bytes=shown.roster.project)}",
            f"coordinator {fingerprint(shown.roster.coordinator)}, {len(shown.roster.sites)} sites in the roster",
            "The roster's words; compare them with those that your officer confirmed:",
            f"  {shown.roster.words()}",
            *(_line(one) for one in shown.rounds),
            f"outcome: {shown.outcome or 'not stated'}",
            f"hash of the receipt: {shown.head.hex()}",
        ]
    )


def _line(shown: RoundShown) -> str:
    if shown.root is None:
        over = f"{len(shown.asked)} sites asked, no sum"
    else:
        over = f"sum over {len(shown.uploads)} of {len(shown.asked)} sites"
    return f"round {shown.round}: {over}: {_said(shown.query)}"


def _said(query: bytes) -> str:
    try:
        words = describe(BoundQuery.decode(query))
    except (QueryError, ParameterError):  # written by another release
        return "a query that this release does not know"
    return f"{words.statistic} over dataset {words.dataset}, {words.numbers} numbers. {words.rows} {words.floor}"


def _query(shown: RoundShown) -> Any:
    try:
        return Query.decode(shown.query).model_dump(mode="json")
    except QueryError:
        return None

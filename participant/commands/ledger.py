"""`secagg-participant ledger`: everything that ever left this site."""

from typing import Any

from participant.commands.options import SiteOptions
from participant.records.ledger import Ledger
from participant.settings.journal import opened
from relay.service.command import Commands
from relay.service.dates import utc

app = Commands()


@app.command("ledger")
def ledger(common: SiteOptions) -> None:
    """Show everything that ever left this site and every decision, and check that no entry was altered."""
    with opened(common.settings()) as journal:
        book = Ledger(journal.connection)
        entries, head = book.entries(), book.head
    lines = [
        f"{number:>6}  {utc(entry['at'], exact=True)}  {entry['what']:<10} {_place(entry)}"
        for number, entry in enumerate(entries, 1)
    ]
    words = "\n".join(lines) or "nothing has left this site"
    common.report({"entries": entries, "unbroken": True, "head": head}, words)


def _place(entry: dict[str, Any]) -> str:
    parts = [f"{word} {entry[word]}" for word in ("round", "run", "project", "by") if entry.get(word)]
    task = [f"task {' or '.join(entry['task']['names'])}"] if entry.get("task") else []
    return "  ".join([*task, *(parts[:-1] if "run" in entry and "by" not in entry else parts)])

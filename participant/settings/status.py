"""A site's status, from its own files and the daemon's port; needs neither relay nor passphrase."""

import json
from contextlib import closing
from typing import Any

from participant.data.store.store import DatasetStore
from participant.records.decisions import Decisions
from participant.records.ledger import TABLES, Ledger
from participant.settings.config import ParticipantConfig
from relay.party import keystore
from relay.party.journal import Journal
from relay.service.checkup import ask_admin
from secagg.identity import key_words


def status(settings: ParticipantConfig) -> dict[str, Any]:
    """Return the status; raises KeystoreError if the site is not enrolled, BrokenChainError for an altered ledger."""
    public = keystore.public_of(settings.identity)
    alive, said = ask_admin("127.0.0.1", settings.admin_port, "readyz")
    with closing(Journal(settings.data, TABLES)) as journal:
        ledger, decisions = Ledger(journal.connection), Decisions(journal.connection)
        entries = ledger.entries()
        return {
            "key": public.hex(),
            "words": key_words(public),
            "relay": settings.relay,
            "daemon": {200: "working", 503: "waiting"}.get(alive, "not running"),
            "reason": json.loads(said).get("reason") if alive == 503 else None,
            "projects": [str(project) for project in ledger.projects()],
            "paused": decisions.is_paused(),
            "waiting_runs": [str(one.run) for one in decisions.waiting()],
            "open_epochs": len(journal.machines()),
            "waiting_frames": len(journal.outgoing()),
            "datasets": {one.name: one.version for one in DatasetStore(settings.datasets).list()},
            "ledger_entries": len(entries),
            "last_entry": entries[-1]["at"] if entries else None,
            "last_backup": ledger.backed_up(),
        }

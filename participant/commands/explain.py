"""`secagg-participant explain`: what a run asks, in plain words."""

from participant.commands.options import RunArgument, SiteOptions
from participant.data.store.store import DatasetStore
from participant.policy import explain as explanations
from participant.policy.rules import Policy
from participant.records.ledger import Ledger
from participant.settings.journal import opened
from relay.service.command import Commands

app = Commands()


@app.command("explain")
def explain(run: RunArgument, common: SiteOptions) -> None:
    """Explain plainly what a run asks: columns, rows, numbers, floors, cost, overlap with earlier answers."""
    settings = common.settings()
    policy = Policy() if settings.policy is None else Policy.read(settings.policy)
    with opened(settings) as journal:
        found = Ledger(journal.connection).find_run(run)
        facts = explanations.explain(found, journal, DatasetStore(settings.datasets), policy)
    common.report(facts, explanations.in_words(facts))

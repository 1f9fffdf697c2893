"""`secagg-participant results`: the sums that this site was part of."""

from participant.commands.options import SiteOptions
from participant.records.ledger import Ledger
from participant.records.results import as_facts, as_words, kept
from participant.settings.journal import opened
from relay.service.command import Commands

app = Commands()


@app.command("results")
def results(common: SiteOptions) -> None:
    """Show the verified sums of this site's runs, including those that only the sites can open (mode he)."""
    with opened(common.settings()) as journal:
        found = kept(Ledger(journal.connection))
    words = "\n\n".join(as_words(one) for one in found)
    common.report({"results": [as_facts(one) for one in found]}, words or "this site has no sums yet")

"""`secagg-participant status`."""

from participant.commands.options import SiteOptions
from participant.settings import status as site_status
from relay.service.command import Commands
from relay.service.dates import utc

app = Commands()


@app.command("status")
def status(common: SiteOptions) -> None:
    """Show key, daemon, confirmed projects, open epochs, datasets, and the ledger's latest entry."""
    facts = site_status.status(common.settings())
    dates = {"last_entry", "last_backup"}
    shown = {name: _date(value) if name in dates else value for name, value in facts.items() if value is not None}
    lines = [f"{name.replace('_', ' '):<16} {_words(value)}" for name, value in shown.items()]
    common.report(facts, "\n".join(lines))


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} version {version}" for name, version in value.items()) or "none"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _date(seconds: float | None) -> str:
    return "never" if seconds is None else utc(seconds)

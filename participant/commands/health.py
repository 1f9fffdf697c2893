"""Commands that report a site's condition: `status` and `doctor`."""

from datetime import UTC, datetime

import typer

from participant import doctor
from participant.commands.options import AsJson, Config, Data
from participant.settings.config import ParticipantConfig
from relay.service import checkup
from relay.service.command import report
from relay.service.settings import SettingsError

app = typer.Typer()


@app.command("status")
def status_command(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show key, daemon, confirmed projects, open epochs, datasets, and the ledger's latest entry."""
    from participant.settings.status import status  # noqa: PLC0415  # datasets bring polars

    facts = status(ParticipantConfig.load(data=data, config=config))
    dates = {"last_entry", "last_backup"}
    shown = {name: _date(value) if name in dates else value for name, value in facts.items() if value is not None}
    lines = [f"{name.replace('_', ' '):<16} {_words(value)}" for name, value in shown.items()]
    report(facts, "\n".join(lines), as_json=as_json)


@app.command("doctor")
def doctor_command(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Check settings, machine, key, journal, datasets, policy and the path to the relay, with a remedy for each
    problem.

    The exit code is 0 if all is well, else the number of the first failed check's kind (see the README).
    """
    try:
        found = doctor.examine(ParticipantConfig.load(data=data, config=config))
    except SettingsError as error:
        found = doctor.unexamined(str(error))
    checkup.show(found, as_json=as_json)
    raise typer.Exit(doctor.exit_code(found))


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} version {version}" for name, version in value.items()) or "none"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _date(seconds: float | None) -> str:
    return "never" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")

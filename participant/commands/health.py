"""Commands that tell how a site stands: `status` and `doctor`."""

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
    """Show key, daemon, confirmed projects, open epochs, datasets, and what was last entered in the ledger."""
    from participant.settings.status import status  # noqa: PLC0415  # datasets bring polars

    facts = status(ParticipantConfig.load(data=data, config=config))
    dates = {"last_entry", "last_backup"}
    shown = {name: _date(value) if name in dates else value for name, value in facts.items() if value is not None}
    lines = [f"{name.replace('_', ' '):<16} {_words(value)}" for name, value in shown.items()]
    report(facts, "\n".join(lines), as_json=as_json)


@app.command("doctor")
def doctor_command(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Look over settings, machine, key, journal, datasets, policy and the way to the relay, each with its remedy.

    Exits with 0 where all is well, else with a number that says what the first failed check is about (see the README).
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

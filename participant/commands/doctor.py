"""`secagg-participant doctor`."""

import typer

from participant import doctor as examination
from participant.commands.options import SiteOptions
from relay.service import checkup
from relay.service.command import Commands
from relay.service.settings import SettingsError

app = Commands()


@app.command("doctor")
def doctor(common: SiteOptions) -> None:
    """Check settings, machine, key, journal, datasets, policy and the path to the relay, with remedies.

    The exit code is 0 if all is well, otherwise a code for the kind of the first failed check (see the README).
    """
    try:
        found = examination.examine(common.settings())
    except SettingsError as error:
        found = examination.unexamined(str(error))
    checkup.show(found, as_json=common.as_json)
    raise typer.Exit(examination.exit_code(found))

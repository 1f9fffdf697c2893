"""`secagg-participant config check`."""

from participant.commands.options import SiteOptions
from participant.settings import settings_file
from participant.settings.settings_writer import check as check_settings
from relay.service.command import Commands

app = Commands()


@app.command("check")
def check(common: SiteOptions) -> None:
    """Check all settings, whatever their source, and the files that they name. Exits with 1 if one is invalid."""
    settings = common.settings()
    check_settings(settings)
    settings.require_relay()
    common.report({"valid": True, "file": str(settings_file.place(common.config))}, "the settings are valid")

"""`secagg-participant config`: check and show the settings. Each command is a module, for what it needs."""

from relay.service.command import Subcommand, lazy_group

app = lazy_group(
    "config",
    "Check and show the settings.",
    "participant.commands",
    {
        "check": Subcommand(
            "config_check",
            "Check all settings, whatever their source, and the files that they name. Exits with 1 if one is invalid.",
        ),
        "show": Subcommand(
            "config_show", "Show every setting and where it comes from. Passphrases and passwords are never shown."
        ),
    },
)

"""The operator's commands beyond those of `relay.server.commands.cli`: one module per subject; no logic here."""

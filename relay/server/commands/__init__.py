"""The operator's commands beyond those of `relay.server.commands.cli`: a module for each subject, logic elsewhere."""

"""The operator's commands beyond those of `relay.cli`: a module for each subject, logic elsewhere."""

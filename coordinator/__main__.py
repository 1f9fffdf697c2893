"""`python -m coordinator`."""

from coordinator.commands.cli import main

main()

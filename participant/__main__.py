"""`python -m participant`."""

from participant.commands.cli import main

main()

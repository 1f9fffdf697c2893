"""`python -m relay`."""

from relay.server.commands.cli import main

main()

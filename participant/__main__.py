"""`python -m participant`."""

from participant.cli import main

main()

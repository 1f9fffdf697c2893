"""The analyst's commands, one file per group. Start with `cli.py`, the table of all commands.

A module is imported only when one of its commands is called, so each can import everything it needs at the top. These
modules handle options, output and exit codes; the other folders do the work.
"""

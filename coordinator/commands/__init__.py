"""The analyst's commands, one file per group. Start with `cli.py`, the table of all commands.

A module is imported when one of its commands is called, so each imports at its top what its commands need. The folders
below do the work; here are options, output and exit codes.
"""

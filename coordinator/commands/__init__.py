"""The analyst's commands, one file a group. Start with `cli.py`, the table of all of them.

A module is imported when one of its commands is called, so each imports at its top what its commands need. What a
command does stands in the folders below; here are options, words and exit codes.
"""

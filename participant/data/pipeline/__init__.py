"""From a source to a stored version: importing a table, and mapping it to a project's variables.

Start with `importing.py`, which calls the steps in order. May import all other folders of data.
"""

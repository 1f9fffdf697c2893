"""From a source to a stored version: importing a table, and mapping it to a project's variables.

Start with `importing.py`, which calls the steps in order. On top of the data side: may import all of its other folders.
"""

"""The words of the data side: declaration, description, profile, progress and errors. Knows no other folder of data.

Start with `description.py`, what is known of a dataset, and `declaration.py`, what its file promised.
"""

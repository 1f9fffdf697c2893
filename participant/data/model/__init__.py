"""The data side's vocabulary: declaration, description, profile, progress and errors. Imports no other folder of data.

Start with `description.py`, what is known about a dataset, and `declaration.py`, what its site declared.
"""

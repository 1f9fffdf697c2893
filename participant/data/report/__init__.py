"""The report of an import: what was found and done, for the data manager. It shows values and stays in the house."""

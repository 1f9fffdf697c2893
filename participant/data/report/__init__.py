"""The report of an import: findings and changes, for the data manager. It shows values and stays at the site."""

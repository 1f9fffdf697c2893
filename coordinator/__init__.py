"""The analyst's side: projects and runs, and analyses composed from sums over the sites."""

"""The site's data: from a table to a typed, versioned, verified dataset, and from there to the columns of a query."""

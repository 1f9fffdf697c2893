"""All of the relay's SQL: a module for each table or two, functions over an open connection.

`database.Database` runs such functions: `read` over a consistent view, `write` in a transaction that is durable when it
returns. They are the same for SQLite and PostgreSQL. Nothing here knows HTTP. Statements are built once, at the top of
each module: building one takes several times as long as running it. Their parameters are named `the_...` where the name
of a column would mean its new value.
"""

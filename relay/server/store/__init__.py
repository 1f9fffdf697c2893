"""All of the relay's SQL: one module per table or two, with functions over an open connection.

`database.Database` runs these functions: `read` over a consistent view, `write` in a transaction that is durable when
it returns. They work on both SQLite and PostgreSQL. Nothing here knows HTTP. Statements are built once, at the top of
each module, as building one takes several times as long as running it. Parameters are named `the_...` if a column's
name would mean its new value.
"""

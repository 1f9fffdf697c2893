"""All of the relay's SQL: one module per table or two, with functions over an open connection.

`database.Database` runs these functions: `read` over a consistent view, `write` in a transaction that is durable when
it returns. They work on both SQLite and PostgreSQL. Nothing here depends on HTTP. Statements are built once, at the top
of each module, as building one takes several times as long as running it. Parameters are named `the_...` where a
column's own name would denote its new value.
"""

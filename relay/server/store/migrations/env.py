"""Runs alembic on the connection, and inside the transaction, that `relay.server.store.migrate` hands over."""

from alembic import context

from relay.server.store import schema

context.configure(connection=context.config.attributes["connection"], target_metadata=schema.metadata)
with context.begin_transaction():
    context.run_migrations()

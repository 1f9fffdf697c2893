"""The history of the relay's schema: one line of revisions, applied by `relay.server.store.migrate`."""

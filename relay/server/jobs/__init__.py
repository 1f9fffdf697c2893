"""Background jobs of a serving relay: housekeeping, deadlines, signed checkpoints, measurement of its state.

One job per file, started by `relay.server.app`. May import http, process, store, payloads and core.
"""

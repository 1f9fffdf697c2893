"""Background jobs of a serving relay: housekeeping, deadlines, signing checkpoints, measuring its state.

One job per file, started by `relay.server.app`. May import http, process, store, payloads and core.
"""

"""What a serving relay does by itself: housekeeping, deadlines, signing checkpoints, counting its state.

One job a file, started by `relay.server.app`. May import http, process, store, payloads and core.
"""

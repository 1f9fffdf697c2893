"""State that only the serving process has: its epoch, readiness, long polls, sites seen, its own load.

May import store, payloads and core.
"""

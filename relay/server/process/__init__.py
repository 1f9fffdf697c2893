"""What only the serving process knows: its epoch, readiness, long polls, sites seen, its own load.

May import store, payloads and core.
"""

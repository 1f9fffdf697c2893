"""What one serving process knows and no database: its epoch, readiness, long polls, who was seen, its own load.

May import store, payloads and core.
"""

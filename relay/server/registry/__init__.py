"""The life of keys, join tokens and runs: how one begins, changes and ends, once for commands, jobs and routes.

Functions over an open connection that change rows and record it in the audit log. May import store and core.
"""

"""The life cycle of keys, join tokens and runs, shared by commands, jobs and routes.

Functions over an open connection that change rows and record the change in the audit log. May import store and core.
"""

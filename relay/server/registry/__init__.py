"""The life of keys: how one ends, once for commands and routes alike.

Functions over an open connection that change rows and record it in the audit log. May import store and core.
"""

"""The relay itself. Only `relay.app`, the entry point for tests and embedders, imports it from outside.

`serve.py` is the process, `app.py` assembles the parts, `http/` serves a request, `routes/` the endpoints,
`store/` the SQL, `payloads/` the payload bytes, `core/` the settings, problems and metrics used by all. Each folder may
import those to its right: commands, serve, app, backup | jobs | routes, http, limits | process | registry, store,
payloads, core.
"""

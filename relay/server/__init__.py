"""The relay itself. Nothing outside imports it but `relay.app`, the face for tests and embedders.

`serve.py` is the process, `app.py` puts the parts together, `http/` has a request's order, `routes/` the endpoints,
`store/` the SQL, `payloads/` the bodies, `core/` settings, problems and metrics that all of them use. Each folder may
import those to its right: commands, serve, app, backup | jobs | routes, http, limits | process | registry, store,
payloads, core.
"""

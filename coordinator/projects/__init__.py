"""Projects from the coordinator's side: terms, invitations, rosters, tasks, catalogues, and the logs that sites send.

Start with `projects.py`. Works over a `RelayClient` and reads the terms by `participant.study`; knows neither runs nor
the session.
"""

"""Projects as their coordinator sees them: terms, invitations, rosters, tasks, catalogues, and logs from sites.

Start with `projects.py`. Uses a `RelayClient`, and reads terms with `participant.study`; knows neither runs nor the
session.
"""

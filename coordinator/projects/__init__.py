"""Projects as their coordinator sees them: terms, invitations, rosters, tasks, catalogues, and logs from sites.

Start with `projects.py`. They use a `RelayClient`, and read terms with `participant.study`; they import neither runs
nor the session.
"""

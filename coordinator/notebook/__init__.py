"""The coordinator for notebooks and programs: `with connect() as session`.

Start with `connect.py`; `loop.py` is the event loop behind the calls without `await`. May import runs, report, projects
and session; no command imports it.
"""

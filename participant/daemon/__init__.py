"""The daemon: it fetches mail from the relay, advances the protocol, and sends what may leave.

Start with `daemon.py`. `epoch.py` is one run's state machine over the journal. Before anything is computed,
`plan_control.py` checks that the question follows from the project's plan, and `release_control.py` asks policy, ledger
and officer. `metrics.py` adds gauges, `process.py` runs the process. May import all but commands, doctor and
rehearsal.
"""

"""The daemon: it fetches what the relay has, lets the protocol step, and sends what may leave.

Start with `daemon.py`. `epoch.py` is one run's state machine over the journal. Before anything is computed,
`plan_control.py` checks that the question follows from the project's plan, and `release_control.py` asks policy, ledger
and officer. `metrics.py` counts, `process.py` is the process around it. May import all but commands, doctor and
rehearsal.
"""

"""The daemon: it fetches what the relay has, lets the protocol step, and sends what may leave.

Start with `daemon.py`. `epoch.py` is one run's machine over the journal, `release_control.py` asks policy, ledger and
officer before anything is computed, `process.py` is the process around it. May import all but commands, doctor and
rehearsal.
"""

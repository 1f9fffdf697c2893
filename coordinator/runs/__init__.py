"""Runs: from an order to results, through crashes, pauses and takeovers.

Start with `lifecycle.py`. `driver.py` takes a run through its rounds, `secure_sum.py` is what an analysis awaits,
`unmasking.py` recovers drop-outs, `checkpoints.py` and `standby.py` let another machine go on. May import session,
projects and journal.
"""

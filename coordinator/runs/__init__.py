"""Runs: from an order to results, through crashes, pauses and takeovers.

Start with `lifecycle.py`. `driver.py` takes a run through its rounds, `secure_sum.py` has the sums that analyses await,
`unmasking.py` removes masks, `checkpoints.py` and `standby.py` let another machine continue. May import session,
projects and journal.
"""

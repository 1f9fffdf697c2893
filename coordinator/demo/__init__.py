"""The demonstration: nine hospitals, a relay and a coordinator on one machine, and the pooled answer.

Start with `demonstrate.py`. `stage.py` starts the processes, `pooled.py` uses lifelines, which nothing else imports,
and `canaries.py` searches for plaintext in what the relay saw. May import all of the coordinator except its
commands.
"""

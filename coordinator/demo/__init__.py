"""The demonstration: nine hospitals, a relay and a coordinator on one machine, and the pooled answer.

Start with `demonstrate.py`. `stage.py` starts the processes, `pooled.py` asks lifelines, which nothing else imports,
and `canaries.py` searches what the relay saw for plaintext. May import all of the coordinator but its commands.
"""

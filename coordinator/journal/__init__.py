"""The coordinator's records of its runs, in addition to the state machines in `relay.party.journal`.

`schema.py` has the tables, `records.py` a run's entry, `tables.py` its sums and packages, `receipts.py` its
receipt; `opening.py` opens the journal without passphrase or relay. This is the lowest folder: it imports no others.
"""

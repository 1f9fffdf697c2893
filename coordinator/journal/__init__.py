"""What the coordinator stores about its runs, in addition to the machines of `relay.party.journal`.

`schema.py` has the tables, `records.py` the entry of a run, `tables.py` its sums and packages, `receipts.py` its
receipt; `opening.py` opens the journal without passphrase or relay. This is the lowest folder: it imports no other one.
"""

"""What the coordinator keeps on disk of its runs, beside the machines of `relay.party.journal`.

`schema.py` has the tables, `records.py` what is known of a run, `tables.py` its sums and packages, `receipts.py` its
receipt; `opening.py` opens the journal without passphrase or relay. The lowest folder here: it imports no other.
"""

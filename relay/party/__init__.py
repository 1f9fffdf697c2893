"""The files that a participant or a coordinator keeps on disk: the journal, the keystore, sealed files.

Start with `journal.py`: fetch, step, commit, send. `migrations.py` upgrades its tables.
May import api and service; the server imports nothing from here.
"""

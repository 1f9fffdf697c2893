"""The files that a participant or a coordinator keeps on disk: the journal, the keystore, sealed files.

Start with `journal.py`: fetch, step, commit, send. May import api and service; the server imports nothing from here.
"""

"""A rehearsal: made-up sites carry out a complete sum through the real relay and this machine's connection.

It touches nothing of the site: its one module imports the relay's client and the protocol, and no other folder of the
participant.
"""

"""A rehearsal: made-up sites carry out a whole sum through the real relay and this machine's line.

One file. It touches nothing of the site: it imports the relay's client and the protocol, and no other folder of the
participant.
"""

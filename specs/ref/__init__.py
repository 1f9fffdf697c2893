"""Protocol 1 a second time, from the text of the specification alone.

Python integers, the standard library, and pyca/cryptography for primitives; nothing of `secagg`. Slow on purpose where
that is simpler. To be read in this order: hashes, wire, keys, shamir, vector, frames, setup, rounds, play. The vectors
are made of this: samples, cases, scripts, vectors.
"""

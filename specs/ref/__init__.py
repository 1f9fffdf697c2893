"""A second implementation of protocol 1, written only from the specification's text.

Python integers, the standard library, and pyca/cryptography for primitives; nothing from `secagg`. Deliberately slow
where that is simpler. Read in this order: hashes, wire, keys, shamir, vector, graph, frames, setup, rounds, play. The
vectors are built from samples, cases, scripts, vectors.
"""

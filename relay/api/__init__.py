"""The interface that both sides share: types, states, tokens, signatures, bundles.

Start with `wire.py`. May import only those parts of secagg that every process may load (codec, envelope, errors,
identity), and no other folder of the relay. Compatibility is decided here: a change of these types changes the
interface.
"""

"""What goes over the wire, for both of its sides: types, states, tokens, signatures, bundles.

Start with `wire.py`. May import of secagg what every process may load (codec, envelope, errors, identity), and no other
folder of the relay. Compatibility is decided here: a change of these types is a change of the interface.
"""

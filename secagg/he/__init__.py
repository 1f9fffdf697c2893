"""Homomorphic mode: the coordinator adds ciphertexts of masked vectors, and only the sites open the sum.

Spec: 02-protocol §11. What needs no TenSEAL (`parameters`, `slots`, `ciphertext`) is apart from what does (`bfv`,
`seal`), so that a coordinator that only adds never loads it.
"""

from importlib.util import find_spec


def is_installed() -> bool:
    """Return whether the extra `he` is there, without loading it: who encrypts or opens needs it."""
    return all(find_spec(name) is not None for name in ("tenseal", "zstandard"))

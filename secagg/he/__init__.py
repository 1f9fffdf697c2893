"""Homomorphic mode: the coordinator adds ciphertexts of masked vectors, and only the sites open the sum.

Spec: 02-protocol §11. What needs no TenSEAL (`parameters`, `slots`, `ciphertext`) is apart from what does (`bfv`,
`ckks`, `seal`), so that a coordinator that only adds never loads it.
"""

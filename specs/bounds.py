"""The bounds of 02-protocol §9, computed and not copied: what the defaults tolerate, and where they break.

Complete graph: the largest n_C is found by search, with the two groups of signers that a split view needs, not by
solving 2t > n + n_C. Sparse graphs: exact fractions from the reference, for the degrees of the library's finder.
"""

from collections.abc import Iterator
from fractions import Fraction
from math import comb

from secagg.graph import find
from secagg.params import (
    MIN_FORGERY_BITS,
    Profile,
    default_colluders,
    default_threshold,
    least_survivors,
    mac_lanes_for,
)
from specs.ref.graph import more_than

SITES = (3, 4, 5, 7, 10, 20, 50, 100, 200, 500)
SPARSE_SITES = (100, 200, 1_000, 10_000)
RING_BITS = (16, 20, 24, 28, 32, 33, 40, 48, 64)


def complete() -> str:
    """Return the table for the complete graph, with the defaults of both profiles."""
    lines = [
        "| profile | n | t | n_C | at most | a | lost before the upload | lost in all | honest inputs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for profile in (Profile.MALICIOUS, Profile.SEMI_HONEST):
        for n in SITES:
            t, colluders = default_threshold(n, profile), default_colluders(n, profile)
            most, a = most_colluders(n, t, profile), least_survivors(t, colluders)
            name = profile.name.lower().replace("_", "-")
            lines.append(f"| {name} | {n} | {t} | {colluders} | {most} | {a} | {n - a} | {n - t} | {a - colluders} |")
    return "\n".join(lines)


def most_colluders(n: int, t: int, profile: Profile) -> int:
    """Return the number of colluders up to which no honest secret is opened twice and no sum has one honest site."""
    return max(c for c in range(n) if not _is_broken(n, t, c, profile))


def _is_broken(n: int, t: int, colluders: int, profile: Profile) -> bool:
    if colluders >= t or max(t, colluders + 2) > n:
        return True  # they rebuild secrets alone, or fewer than two honest sites are left in a sum
    if profile is Profile.SEMI_HONEST:
        return False  # everyone is shown the same survivors
    signers = t - colluders  # honest signers needed for a quorum; a second one needs as many others
    return any(n - colluders - first >= signers for first in range(signers, n - colluders + 1))


def sparse() -> str:
    """Return the table for sparse graphs that tolerate one corrupt and one lost site in twenty."""
    lines = [
        "| profile | n | k | t | n_C | a | c | more than c | cut off | honest inputs | of a group |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for malicious in (True, False):
        for n in SPARSE_SITES:
            bad = n // 20
            k, t = find(n, corrupt=bad, lost=bad, malicious=malicious)
            c = next(c for c in range(k + 1) if more_than(c, n, k, bad) * n <= Fraction(1, 2**41))
            gaps = Fraction(n * (n - k - 1), 2) * Fraction(comb(2 * bad, k), comb(n, k))
            least = t - c + 1 if malicious else "-"
            row = ("malicious" if malicious else "semi-honest", n, k, t, bad, n - bad, c)
            chances = (_power(more_than(c, n, k, bad) * n), _power(gaps))
            lines.append("| " + " | ".join(map(str, (*row, *chances, n - 2 * bad, least))) + " |")
    return "\n".join(lines)


def _power(chance: Fraction) -> str:
    """Return a bound on a probability as a power of two."""
    if not chance:
        return "0"
    exponent = chance.denominator.bit_length() - chance.numerator.bit_length() - 1
    return f"2^-{exponent}" if chance <= Fraction(1, 2**exponent) else f"2^-{exponent - 1}"


def lanes() -> str:
    """Return the number of lanes for some rings, and the success probability of a forgery."""
    rows = "\n".join(
        f"| {bits} | {mac_lanes_for(bits)} | 2^-{mac_lanes_for(bits) * (65 - bits)} |" for bits in RING_BITS
    )
    return f"| b | L | one forgery |\n|---|---|---|\n{rows}\n\nA schema is refused below 2^-{MIN_FORGERY_BITS}."


def tables() -> Iterator[tuple[str, str]]:
    """Yield the tables for 02-protocol by the name of their block."""
    yield "bounds", complete() + "\n"
    yield "sparse bounds", sparse() + "\n"
    yield "lanes", lanes() + "\n"

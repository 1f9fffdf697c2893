"""How does the cost of a round grow: the client's against n and d, the server's against n, d and drop-outs?

Arithmetic only, on one core: ours, the peers', and a sum that hides nothing. Client: quantise, all masks, pack.
Server: add the uploads and remove the masks left behind when a tenth of the sites drop out. Flower's server-side masks
are extrapolated from a sample; Fed-BioMed's LOM is slow, so it stops at smaller sizes, and it loses no site, because it
cannot handle drop-outs.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bench.measure import Row, in_turn, in_words
from bench.peers import FLOWER, LOM, Candidates, candidates

OURS, PLAIN = "secagg", "plain sum"
N, D = 20, 10**5  # the value each is held at while the other grows
SITES = (5, 10, 20, 50, 100, 200, 500)
LENGTHS = (10**4, 10**5, 10**6, 10**7)
LOM_SITES, LOM_LENGTH = 50, 10**6
SAMPLE = 50
MANY, LOST = 100, (1, 2, 4, 8, 16, 32)  # numbers of sites and of drop-outs
Series = Mapping[str, Sequence[float]]


def rows() -> list[Row]:
    with candidates() as who:
        return [
            _row("client", "n", SITES, [_client(who, n, D) for n in SITES], held=f"d = {D:,}"),
            _row("client", "d", LENGTHS, [_client(who, N, d) for d in LENGTHS], held=f"n = {N}", linear=True),
            _row("server", "n", SITES, [_server(who, n, D, n // 10) for n in SITES], held=f"d = {D:,}, n / 10 lost"),
            _row(
                "server",
                "d",
                LENGTHS,
                [_server(who, N, d, N // 10) for d in LENGTHS],
                held=f"n = {N}, 2 lost",
                linear=True,
            ),
            _row(
                "recovery", "k", LOST, [_server(who, MANY, D, k) for k in LOST], held=f"n = {MANY}, d = {D:,}, k lost"
            ),
            _drop_outs(who),
        ]


def _client(who: Candidates, n: int, d: int) -> dict[str, float]:
    """Return the median seconds of each candidate."""
    seconds = in_turn(
        {
            OURS: lambda: who.ours("client", n=n, d=d),
            FLOWER: lambda: who.flower("client", n=n, d=d),
            PLAIN: lambda: who.ours("plain", n=n, d=d)["client"],
        },
        repetitions=_repetitions(n, d),
    )
    return seconds | _lom(n, d, lambda: who.lom("client", n=n, d=d))


def _server(who: Candidates, n: int, d: int, lost: int) -> dict[str, float]:
    masks = (n - lost) * (1 + lost)
    sample = min(SAMPLE, masks)

    def flower() -> float:
        one = who.flower("removal", n=n, d=d, lost=lost, sample=sample)
        return (n - lost) * who.flower("addition", d=d) + masks * one

    seconds = in_turn(
        {
            OURS: lambda: who.ours("server", n=n, d=d, lost=lost),
            FLOWER: flower,
            PLAIN: lambda: who.ours("plain", n=n - lost, d=d)["server"],
        },
        repetitions=_repetitions(n, d),
    )
    return seconds | _lom(n, d, lambda: who.lom("addition", n=n, d=d))


def _repetitions(n: int, d: int) -> int:
    """Return the number of repetitions: more for small sizes, whose short times vary more."""
    return 9 if n * d < 10**7 else 3


def _lom(n: int, d: int, measure: Callable[[], float]) -> dict[str, float]:
    return {LOM: measure()} if n <= LOM_SITES and d <= LOM_LENGTH else {}


def _row(
    what: str, axis: str, at: Sequence[int], points: Sequence[dict[str, float]], *, held: str, linear: bool = False
) -> Row:
    """Return the row of a series, with the exponent of each candidate's time."""
    series = {name: [point[name] for point in points if name in point] for name in points[0]}
    exponents = {name: exponent(at[: len(seconds)], seconds) for name, seconds in series.items()}
    ours = series[OURS]
    return Row(
        f"{what} against {axis} = {at[0]:,} to {at[-1]:,}, {held}",
        f"{OURS} ~ {axis}^e, e <= 1.1" if linear else "",
        "; ".join(f"{name} ~ {axis}^{exponents[name]:.2f}" for name in series)
        + f" ({OURS} {in_words(ours[0])} to {in_words(ours[-1])})",
        exponents[OURS] <= 1.1 if linear else None,
        {"what": what, "axis": axis, "held": held, "at": list(at), "series": series, "exponents": exponents},
    )


def _drop_outs(who: Candidates, n: int = 50, lost: Sequence[int] = (1, 2, 4, 8, 16)) -> Row:
    """Time the server in the whole protocol. Only the masks grow with lost x left; the rest of the phase does not."""
    seconds = [who.ours("cohort", n=n, d=D, lost=k)["coordinator"]["unmask"] for k in lost]
    fitted = exponent(lost, seconds)
    return Row(
        f"server's unmask phase, whole protocol, n = {n}, d = {D:,}, against drop-outs k = {lost[0]} to {lost[-1]}",
        "",
        f"{OURS} ~ k^{fitted:.2f} ({', '.join(map(in_words, seconds))})",
        None,
        {"what": "unmask", "axis": "k", "at": list(lost), "series": {OURS: seconds}, "exponents": {OURS: fitted}},
    )


def exponent(at: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the exponent e of the power law seconds = c * at^e, fitted by least squares in logarithms."""
    slope, _ = np.polyfit(np.log(at), np.log(seconds), 1)
    return float(slope)

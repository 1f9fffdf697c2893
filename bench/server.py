"""How long does the server take when three of ten sites are lost: n = 500, d = 1e5, 150 dropped before upload?

The whole protocol runs with every message of all 500 sites on one core, which takes two minutes; the rows report the
coordinator's part. Flower's part is its computation for the same masks, extrapolated from a sample measured before and
after. The published numbers are those of Bonawitz et al., CCS 2017, figure 8: the same n, d and drop-outs,
one thread, 24-bit entries, on a Xeon E5-1650 v3, semi-honest and without network.
"""

from bench.measure import Row, against, in_words
from bench.peers import FLOWER, Candidates, candidates

N, D, LOST = 500, 10**5, 150
SAMPLE = 1000
MASKS = (N - LOST) * (1 + LOST)
PUBLISHED = {"epoch": 0.029, "upload": 0.514, "unmask": 142.847}  # its columns Share, Masked, Unmask
PUBLISHED_TOTAL = 143.389


def rows() -> list[Row]:
    with candidates() as who:
        before = _flower(who)
        coordinator = who.ours("cohort", n=N, d=D, lost=LOST)["coordinator"]
        after = _flower(who)
    theirs, composed = ((first + second) / 2 for first, second in zip(before, after, strict=True))
    whole = sum(coordinator.values())
    case = f"n = {N}, d = {D:,}, {LOST} dropped before upload"
    masks = f"for the same {MASKS:,} masks, scaled from 2 x {SAMPLE} of them"
    scaled = f"(prg + add + mod) {masks}"
    return [
        against(f"server's unmask phase, {case}, against {scaled}", FLOWER, coordinator["unmask"], theirs, least=30),
        against(f"whole server (epoch, upload, unmask), {case}, against {scaled}", FLOWER, whole, theirs, least=15),
        against(
            f"server's unmask phase, {case}, against (prg + add) as in its own workflow, {masks}",
            FLOWER,
            coordinator["unmask"],
            composed,
        ),
        Row(
            f"whole server, {case}, beside CCS'17 (Xeon E5-1650 v3, semi-honest; another machine)",
            "",
            f"ours {in_words(whole)} ({_phases(coordinator)}); "
            f"CCS'17 {in_words(PUBLISHED_TOTAL)} ({_phases(PUBLISHED)})",
            None,
            {**coordinator, "published_s": PUBLISHED_TOTAL},
        ),
    ]


def _flower(who: Candidates) -> tuple[float, float]:
    """Return the seconds for all masks, from a sample: with a reduction after each mask, and without."""
    asked = {"n": N, "d": D, "lost": LOST, "sample": SAMPLE}
    each, once = who.flower("removal", **asked, mod_each=True), who.flower("removal", **asked)
    return MASKS * each, MASKS * once


def _phases(seconds: dict[str, float]) -> str:
    return ", ".join(f"{phase} {in_words(seconds[phase])}" for phase in PUBLISHED)

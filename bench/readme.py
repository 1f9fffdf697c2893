"""`python -m bench.readme`: write the paragraph of benchmark results into README.md, from the newest kept ones."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

from bench import history
from bench.measure import in_words
from bench.peers import FLOWER, LOM

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- measured -->\n", "<!-- /measured -->\n"


def paragraph() -> str:
    """Return the paragraph of benchmark results."""
    peers, server = history.newest("peers"), history.newest("server")
    client, shamir = _figures(peers, "as its own client does"), _figures(peers, "Shamir")
    lom = _figures(peers, "protect")
    unmask, whole = _figures(server, "as in its own workflow"), _figures(server, "whole server")
    machine = peers["machine"]
    return fill(
        f"Measured on one core of {machine['processor']} ({', '.join(machine['features'])}) on {peers['date'][:10]}. "
        f"One of 100 clients quantises, masks and packs a million entries in {in_words(client['ours_s'])}; for the "
        f"same masks, {FLOWER}'s functions take {in_words(client['theirs_s'])} and {LOM} takes "
        f"{in_words(lom['theirs_s'])}. Splitting a 64-byte secret among 100 holders and combining it takes "
        f"{in_words(shamir['ours_s'])}; {FLOWER}'s functions take {in_words(shamir['theirs_s'])}. If 150 of 500 sites "
        f"with 100,000 entries each are lost, the server takes {in_words(whole['ours_s'])} in all, "
        f"{in_words(unmask['ours_s'])} of it to unmask; {FLOWER}'s functions take {in_words(unmask['theirs_s'])} for "
        "the masks alone (scaled from a sample), and Bonawitz et al. published 143 s for this size in 2017 (Xeon "
        "E5-1650 v3). All sums were compared first, on shorter vectors. `make bench` repeats the measurements; "
        "bench/results/ has every result with its target.",
        120,
    )


def _figures(entry: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    """Return the figures of the first row whose name contains `part`."""
    return next(row["figures"] for row in entry["rows"] if part in row["name"])


def main() -> None:
    before, rest = README.read_text().split(BEGIN)
    after = rest.split(END)[1]
    README.write_text(f"{before}{BEGIN}{paragraph()}\n{END}{after}")


if __name__ == "__main__":
    main()

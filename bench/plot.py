"""`python -m bench.plot`: draw the newest kept results of `growth` as results/cost.png and .svg."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from bench import history
from bench.growth import OURS, PLAIN
from bench.peers import FLOWER, LOM

# From the palette of Okabe and Ito, whose colours people with colour blindness can tell apart.
STYLES: Mapping[str, Mapping[str, Any]] = {
    LOM: {"color": "#e69f00", "marker": "^", "linewidth": 1.6},
    FLOWER: {"color": "#d55e00", "marker": "s", "linewidth": 1.6},
    OURS: {"color": "#0072b2", "marker": "o", "linewidth": 2.6},
    PLAIN: {"color": "#777777", "marker": "", "linewidth": 1.4, "linestyle": "--"},
}
AXES = {"n": "sites n", "d": "vector length d"}


def draw(growth: Mapping[str, Any], folder: Path) -> list[Path]:
    """Plot the times of client and server against n and d; return the files."""
    panels = [row["figures"] for row in growth["rows"] if row["figures"]["what"] in {"client", "server"}]
    with mpl.rc_context({"font.size": 10, "svg.hashsalt": "cost", "svg.fonttype": "none", "axes.axisbelow": True}):
        figure, axes = plt.subplots(2, 2, figsize=(10, 7.2), sharey="row", layout="constrained")
        for panel, figures in zip(axes.flat, panels, strict=True):
            _panel(panel, figures)
        for row, what in zip(axes[:, 0], ("one client, seconds", "server, seconds"), strict=True):
            row.set_ylabel(what)
        handles = {line.get_label(): line for line in axes[0, 0].get_lines()}
        figure.legend([handles[name] for name in STYLES], STYLES, loc="outside upper center", ncols=4, frameon=False)
        figure.supxlabel(_caption(growth), fontsize=8.5, color="#444444")
        paths = [folder / "cost.png", folder / "cost.svg"]
        figure.savefig(paths[0], dpi=150)
        figure.savefig(paths[1], metadata={"Date": None})
        plt.close(figure)
    return paths


def _panel(panel: Axes, figures: Mapping[str, Any]) -> None:
    for name, style in STYLES.items():
        seconds = figures["series"][name]
        panel.plot(figures["at"][: len(seconds)], seconds, label=name, markersize=5, **style)
    panel.set(xscale="log", yscale="log", xlabel=AXES[figures["axis"]])
    if figures["axis"] == "n":
        panel.set_xticks(figures["at"], [str(n) for n in figures["at"]])
        panel.minorticks_off()
    panel.set_title(f"{figures['what']} against {AXES[figures['axis']]} ({figures['held']})", fontsize=10.5)
    panel.grid(visible=True, which="major", color="#e4e4e4")
    panel.spines[["top", "right"]].set_visible(False)


def _caption(growth: Mapping[str, Any]) -> str:
    machine = growth["machine"]
    return (
        f"One core of {machine['processor']} ({', '.join(machine['features'])}), {growth['date'][:10]}. "
        "Arithmetic alone, without keys and transport.\n"
        "Client: quantise, mask, pack. Server: add uploads, remove what a tenth of lost sites leaves "
        "(Flower's scaled from a sample of masks; LOM loses none)."
    )


if __name__ == "__main__":
    for path in draw(history.newest("growth"), history.FOLDER):
        print(path)

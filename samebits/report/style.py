"""One colour for each run, on the page and in every figure."""

from collections.abc import Iterable

from samebits.base.params import RUNS

# ColorBrewer's Dark2, which the colour-blind tell apart, a little darker: see charts.ACCENT
COLORS = dict(zip(RUNS, ("#6e68b0", "#c05000", "#14805f"), strict=True))
OTHERS = ("#b8256f", "#4c7a12", "#8a6100", "#1f6f8b", "#5a5a5a")  # of networks of one's own, in turn


def colors(runs: Iterable[str]) -> dict[str, str]:
    """Return the colour of each run."""
    own = [run for run in runs if run not in COLORS]
    return COLORS | {run: OTHERS[place % len(OTHERS)] for place, run in enumerate(own)}

"""One colour for each run, on the page and in every figure."""

from samebits.base.params import RUNS

# ColorBrewer's Dark2, which the colour-blind tell apart, a little darker: see charts.ACCENT
COLORS = dict(zip(RUNS, ("#6e68b0", "#c05000", "#14805f"), strict=True))

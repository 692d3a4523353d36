"""The figures that the notes print, as text: a digit more or less would be another claim. The network's are in notes.

The letters are those of the four sets of notes: A logits to loss, B ten outputs and cross entropy, C softmax regression
from scratch, D softmax classification low level and high level.
"""

from collections.abc import Iterable
from dataclasses import dataclass

Numbers = tuple[float, ...]
Digits = tuple[str, ...]


@dataclass(frozen=True)
class Example:
    """Rows of logits or probabilities, a label for each, and what the notes print of them."""

    notes: str
    rows: tuple[Numbers, ...]
    labels: tuple[int, ...]
    loss: str = ""  # the mean over the rows
    probabilities: tuple[Digits, ...] = ()


def numbers(digits: Iterable[str]) -> list[float]:
    """Return what is printed as numbers."""
    return [float(text) for text in digits]


# Logits, their softmax and their loss.
LOGITS = (
    Example("A", ((0.0, 0.0, 5.0, 0.0),), (2,), "0.0200", (("0.0066", "0.0066", "0.9802", "0.0066"),)),
    Example("A", ((1.0, 1.1, 1.0, 1.0),), (2,), "1.4122", (("0.2436", "0.2692", "0.2436", "0.2436"),)),
)
ONE_TWO_THREE = Example("D", ((1.0, 2.0, 3.0),), (), "", (("0.0900", "0.2447", "0.6652"),))

# -log p for p = 0, 0.1 ... 1.
SURPRISAL = ("inf", "2.3026", "1.6094", "1.2040", "0.9163", "0.6931", "0.5108", "0.3567", "0.2231", "0.1054", "0")
UNTRAINED = "2.3026"  # -log(1/10)

# Probabilities and their loss, by hand: B's first class is the right one; C picks 0.1 and 0.5.
ONE_HOT = (
    Example("B", ((0.7, 0.2, 0.1),), (0,), "0.35667494393873245"),
    Example("B", ((0.1, 0.3, 0.6),), (0,), "2.3025850929940455"),
)
PICKED = ((0.1, 0.3, 0.6), (0.3, 0.3, 0.5)), (0, 2)
PICKED_PROBABILITIES: Digits = ("0.1", "0.5")
PICKED_LOSSES: Digits = ("2.3026", "0.6931")
PICKED_ACCURACY = "0.5"

# Cross entropy from logits, in float32; two single rows and two batches of three.
FROM_LOGITS = (
    Example("B", ((2.0, 1.0, 0.1),), (0,), "0.41703"),
    Example("B", ((0.5, 2.0, 0.3),), (0,), "1.8406162"),
    Example("B", ((0.1, 0.2, 0.9), (1.1, 0.1, 0.2), (0.2, 2.1, 0.1)), (2, 0, 1), "0.4966353"),
    Example("B", ((0.8, 0.2, 0.3), (0.2, 0.3, 0.5), (0.2, 0.2, 0.5)), (2, 0, 1), "1.2388996"),
)

# One loss three ways: by the loss function, by the logits, and by the probability as it is printed.
THREE_WAYS = Example("B", ((0.1, 0.0, 0.0, 1.0),), (3,), "0.7619", (("0.1898", "0.1717", "0.1717", "0.4668"),))
BY_LOGITS = "0.7618933412552511"
BY_PROBABILITY = "0.7618543785697361"

# Three rows of five logits, drawn by torch: see samebits.report.lessons.cross_entropy.drawn.
THREE_BY_FIVE_LABELS = (4, 2, 3)
THREE_BY_FIVE: tuple[Digits, ...] = (
    ("0.2128", "0.2974", "0.2574", "0.1173", "0.1150"),
    ("0.1486", "0.2933", "0.1740", "0.2342", "0.1499"),
    ("0.2880", "0.1427", "0.2565", "0.1774", "0.1355"),
)
THREE_BY_FIVE_LOG: tuple[Digits, ...] = (
    ("-1.5474", "-1.2128", "-1.3570", "-2.1426", "-2.1624"),
    ("-1.9067", "-1.2264", "-1.7488", "-1.4515", "-1.8979"),
    ("-1.2449", "-1.9471", "-1.3606", "-1.7296", "-1.9989"),
)
THREE_BY_FIVE_COST = "1.8803"

# Eight rows of four numbers in three classes, and the cost of learning them after 0, 100 ... 1000 steps, in float32.
EIGHT_ROWS = ((1, 2, 1, 1), (2, 1, 3, 2), (3, 1, 3, 4), (4, 1, 5, 5), (1, 7, 5, 5), (1, 2, 5, 6), (1, 6, 6, 6),
              (1, 7, 7, 7))  # fmt: skip
EIGHT_LABELS = (2, 2, 2, 1, 1, 1, 0, 0)
EVERY = 100  # steps
COSTS: Digits = (
    "1.6167852878570557",
    "0.6588907837867737",
    "0.5734434723854065",
    "0.5181514024734497",
    "0.47326546907424927",
    "0.4335159659385681",
    "0.3965628743171692",
    "0.36091411113739014",
    "0.3253922164440155",
    "0.28917840123176575",
    "0.25414788722991943",
)

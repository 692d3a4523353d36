"""What things cost: each benchmark prints paired ratios, never a verdict."""

import stages  # noqa: F401  # before torch, as in every stage: it says how long waiting threads spin

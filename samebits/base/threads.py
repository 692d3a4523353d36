"""How long idle threads wait. It imports nothing of torch, for it must come first."""

import os


def spin_briefly() -> None:
    """Let OpenMP's threads spin for a short while before they sleep, unless the user has it otherwise.

    Spinning beside other work on the same cores costs up to 40 times; sleeping at once (OMP_WAIT_POLICY=passive) costs
    twice where there is none. A short spin is right for both (`make bench`). The library reads this when it is loaded,
    with torch: so this is called before torch is imported.
    """
    if not os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}:
        os.environ["GOMP_SPINCOUNT"] = "1000"

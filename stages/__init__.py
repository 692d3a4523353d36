"""The pipeline: one module per DVC stage, and a few rooms of pure functions that they call."""

import os

# OpenMP's threads spin while they wait. Beside other work on the same cores that costs up to 40 times; sleeping at once
# (OMP_WAIT_POLICY=passive) costs twice where there is none. A short spin is right for both (`make bench`). The library
# reads this when it is loaded, with torch: hence here, before any module of the project can import that.
if not os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}:
    os.environ["GOMP_SPINCOUNT"] = "1000"

"""The pipeline: one module for each DVC stage, which loads parameters, calls the rooms of samebits and writes files."""

from samebits.base import last_good
from samebits.base.threads import spin_briefly

last_good.keep()  # before a stage's module is compiled, which may fail
spin_briefly()  # before a stage imports torch

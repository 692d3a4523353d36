"""The pipeline: one module for each DVC stage, which loads parameters, calls the rooms of samebits and writes files."""

from samebits.base.threads import spin_briefly

spin_briefly()  # before a stage imports torch

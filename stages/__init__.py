"""The pipeline: one module per DVC stage, and a few rooms of pure functions that they call."""

"""Is a result worse than the one that was committed? Records of it, the tests that decide, and how it is told."""

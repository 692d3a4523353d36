"""Models, their training loop, and where they run."""

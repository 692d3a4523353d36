"""What the pipeline left, read once and checked against itself, for all who show, compare or publish it."""

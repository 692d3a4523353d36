"""Is what was committed true? Differences, and running it again, here or on other kinds of machine."""

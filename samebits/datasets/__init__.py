"""The datasets: what they are, where they come from, how their files are read and kept as arrays."""

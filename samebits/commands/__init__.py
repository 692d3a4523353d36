"""The command line: one module for each command of `samebits`, imported by nothing else."""

"""What every room stands on: errors, whole files, parameters, paths, and what each command line shares."""

"""Asking a trained model: from a picture to probabilities, on the command line and over HTTP."""

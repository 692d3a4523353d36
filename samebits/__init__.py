"""Softmax classification whose results are the same bits everywhere; docs/architecture.md says the rooms."""

"""Notebook 07: the paper's numbers, and ours beside them."""

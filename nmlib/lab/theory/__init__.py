"""Notebook 02: the Taylor checks, drawn, and the theory meter."""

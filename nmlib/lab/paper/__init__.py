"""Notebook 07: the paper beside what was measured here."""

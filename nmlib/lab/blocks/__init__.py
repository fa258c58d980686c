"""Notebook 04: mixing, noise, views and their divergence on two images."""

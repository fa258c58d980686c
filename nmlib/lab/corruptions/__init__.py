"""Notebook 03: contact sheets, spectra, the gallery and the player of sequences."""

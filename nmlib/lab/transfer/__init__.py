"""Notebook 09: what an ImageNet network is worth on another data set."""

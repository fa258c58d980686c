"""Notebook 08: ImageNet models, the paper's and one that comes with nmlib."""

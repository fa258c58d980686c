"""Slow and obvious versions of what nmlib computes fast. They share no code with it."""

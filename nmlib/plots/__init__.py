"""Display objects: `from_*` computes arrays, `.plot(ax)` draws them, `.plotly()` interactively."""
